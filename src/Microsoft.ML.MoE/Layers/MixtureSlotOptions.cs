using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>A mixture of experts whose tokens choose: <see cref="MixtureOfExperts"/>.</summary>
public sealed record MixtureSlotOptions : FeedForwardSlotOptions
{
    /// <summary>The defaults.</summary>
    public MixtureSlotOptions()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
#pragma warning disable CS8618   // all fields are copied
    public MixtureSlotOptions(MixtureSlotOptions original) : base(original) => DeclaredFields.Copy(original, this);
#pragma warning restore CS8618

    /// <summary>Router, experts, capacity.</summary>
    public MixtureOfExpertsOptions Mixture { get; init; } = new();

    /// <summary>What the balance loss is multiplied by, at least 0. Default 0.01.</summary>
    public double BalanceLossWeight { get; init; } = 0.01;

    /// <inheritdoc/>
    public override FeedForwardSlot Create(int width, Device? device = null, ScalarType computeType = ScalarType.Float32) =>
        new MixtureSlot(width, this, device, computeType);

    /// <inheritdoc/>
    internal override LayerCost GetCost(int width)
    {
        checked
        {
            var (experts, chosen, hidden) = (Mixture.Router.Experts, Mixture.Router.ExpertsPerToken, (long)Mixture.ExpertWidth);
            var router = (long)experts * width;
            var expert = (2 * width * hidden) + hidden + width;
            return new LayerCost(router + (experts * expert), router + (chosen * expert), router + (chosen * 2 * width * hidden));
        }
    }

    /// <inheritdoc/>
    internal override void Validate()
    {
        Mixture.Validate();
        OptionChecks.AtLeast(0, BalanceLossWeight, nameof(BalanceLossWeight));
    }
}
