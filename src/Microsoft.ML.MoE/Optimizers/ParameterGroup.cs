using Microsoft.ML.MoE.Runtime;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>Parameters that an optimizer treats alike.</summary>
/// <param name="Parameters">The parameters by name; the names appear in the optimizer's state.</param>
/// <param name="WeightDecay">
/// Weight decay λ, at least 0. <see cref="FusedAdamW"/>: at every step each weight shrinks by this times the learning rate; the other
/// optimizers say in their equations where it acts.
/// </param>
internal sealed record ParameterGroup(IReadOnlyList<KeyValuePair<string, Parameter>> Parameters, double WeightDecay)
{
    /// <summary>What the learning rate is multiplied by for these parameters, at least 0. Default 1.</summary>
    public double LearningRateScale { get; init; } = 1;

    /// <summary>
    /// Whether <see cref="Lamb"/> scales the update of each of these parameters to the norm of its weights. Default true; without effect on
    /// other optimizers.
    /// </summary>
    public bool TrustRatio { get; init; } = true;

    /// <summary>
    /// What <c>NoWeightDecay</c> of the training is by default: shrinking those takes away freedom without limiting what a model can fit.
    /// </summary>
    internal static IReadOnlyList<string> UsuallyWithoutDecay { get; } = ["bias", "position", "classToken"];

    /// <summary>
    /// Splits a module's trainable parameters into those that decay and those that do not. Matrices, stacks of matrices (experts) and
    /// embedding tables decay; vectors, biases (stacked ones too), position embeddings and the class token do not: shrinking those takes
    /// away freedom without limiting what the model can fit. Nor have those LAMB's trust ratio. A module that is used several times counts
    /// once.
    /// </summary>
    /// <param name="module">The module; parameters with <c>requires_grad</c> false are left out.</param>
    /// <param name="weightDecay">Weight decay of the first group; the second has 0.</param>
    /// <returns>The groups that have parameters, at most two.</returns>
    public static IReadOnlyList<ParameterGroup> ForModule(nn.Module module, double weightDecay) =>
        ForModule(module, weightDecay, UsuallyWithoutDecay, [], (_, _) => 1);

    /// <summary>The same for the parameters that no other optimizer trains, with learning rates of their own.</summary>
    /// <param name="module">The module.</param>
    /// <param name="weightDecay">Weight decay of what decays.</param>
    /// <param name="withoutDecay">See <c>NoWeightDecay</c> of the training.</param>
    /// <param name="others">Parameters to leave out.</param>
    /// <param name="learningRateScale">What the learning rate of a parameter is multiplied by.</param>
    /// <returns>Groups by weight decay and scale, those that decay first, the scales in the order of their first parameters.</returns>
    internal static IReadOnlyList<ParameterGroup> ForModule(
        nn.Module module, double weightDecay, IReadOnlyList<string> withoutDecay, IEnumerable<Parameter> others,
        Func<string, Parameter, double> learningRateScale)
    {
        var left = others.Select(parameter => parameter.Handle).ToHashSet();
        return Distinct(module).Where(pair => !left.Contains(pair.Value.Handle))
            .GroupBy(pair => (Decays: Decays(pair.Key, pair.Value, withoutDecay), Scale: learningRateScale(pair.Key, pair.Value)))
            .OrderByDescending(group => group.Key.Decays)
            .Select(group => new ParameterGroup([.. group], group.Key.Decays ? weightDecay : 0)
            {
                LearningRateScale = group.Key.Scale,
                TrustRatio = group.Key.Decays,
            })
            .ToArray();
    }

    /// <summary>What every optimizer asks of its groups.</summary>
    /// <exception cref="ArgumentException">An option is out of range, or a parameter or a name appears twice.</exception>
    internal static void Check(IReadOnlyList<ParameterGroup> groups)
    {
        foreach (var group in groups)
        {
            OptionChecks.AtLeast(0, group.WeightDecay, nameof(WeightDecay));
            OptionChecks.AtLeast(0, group.LearningRateScale, nameof(LearningRateScale));
        }

        var (handles, names) = (new HashSet<IntPtr>(), new HashSet<string>());
        foreach (var (name, parameter) in groups.SelectMany(group => group.Parameters))
        {
            if (!handles.Add(parameter.Handle) || !names.Add(name))
                throw new ArgumentException(
                    $"Parameter '{name}' is there twice; an optimizer takes each parameter, and each name, once.", nameof(groups));
        }
    }

    private static IEnumerable<KeyValuePair<string, Parameter>> Distinct(nn.Module module)
    {
        var seen = new HashSet<IntPtr>();
        foreach (var (name, parameter) in module.named_parameters())
        {
            if (parameter.requires_grad && seen.Add(parameter.Handle))
                yield return new(name, parameter);
        }
    }

    private static bool Decays(string name, Parameter parameter, IReadOnlyList<string> without)
    {
        var own = name[(name.LastIndexOf('.') + 1)..];
        return parameter.dim() >= 2
            && !without.Any(each =>
                own.StartsWith(each, StringComparison.OrdinalIgnoreCase)
                || $".{name}".Contains($".{each}.", StringComparison.OrdinalIgnoreCase));
    }
}
