using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Layers;

/// <summary>Options of a <see cref="ConditionalBlock"/>.</summary>
public sealed record ConditionalBlockOptions
{
    /// <summary>The defaults.</summary>
    public ConditionalBlockOptions()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
    public ConditionalBlockOptions(ConditionalBlockOptions original) => DeclaredFields.Copy(original, this);

    /// <summary>Model width D, a multiple of <see cref="Heads"/>. Default 768.</summary>
    public int Width { get; init; } = 768;

    /// <summary>Attention heads. Default 12.</summary>
    public int Heads { get; init; } = 12;

    /// <summary>Hidden width of the feed-forward network. Default 3072.</summary>
    public int FeedForwardWidth { get; init; } = 3072;

    /// <summary>Experts of each linear layer; null (default) for dense layers.</summary>
    public int? Experts { get; init; }

    /// <summary>Experts that are chosen, 1 to <see cref="Experts"/>. Default 2.</summary>
    public int ExpertsPerToken { get; init; } = 2;

    /// <summary>What decides. Default: attributes.</summary>
    public RoutingLevel RoutingLevel { get; init; }

    /// <summary>What the branches are multiplied by at the start, above 0. Default 1e-3.</summary>
    public double LayerScale { get; init; } = 1e-3;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        OptionChecks.AtLeast(1, Width, nameof(Width));
        OptionChecks.AtLeast(1, Heads, nameof(Heads));
        OptionChecks.AtLeast(1, FeedForwardWidth, nameof(FeedForwardWidth));
        OptionChecks.Defined(RoutingLevel, nameof(RoutingLevel));
        OptionChecks.Above(0, LayerScale, nameof(LayerScale));
        if (Width % Heads != 0)
            throw new ArgumentException(
                $"{nameof(Width)} is {Width} and {nameof(Heads)} is {Heads}; the width must be a multiple of the heads.");
        if (Experts is { } experts)
            new TopKRouterOptions { Experts = experts, ExpertsPerToken = ExpertsPerToken }.Validate();
    }
}
