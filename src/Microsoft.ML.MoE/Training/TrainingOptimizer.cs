using Microsoft.ML.MoE.Optimizers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>Makes the optimizer of a training.</summary>
internal static class TrainingOptimizer
{
    /// <summary>
    /// Makes one optimizer for all parameters, or one for all that no module has an optimizer of its own for, together with those.
    /// </summary>
    /// <param name="module">What is trained.</param>
    /// <param name="options">How; settled.</param>
    /// <param name="learningRateScale">What the learning rate of a parameter is multiplied by, by its name.</param>
    public static IOptimizer Create(nn.Module module, TrainingOptions options, Func<string, double> learningRateScale)
    {
        var parts = new Dictionary<string, IOptimizer>();
        try
        {
            var constants = new AdamConstants(options.Beta1, options.Beta2, options.Epsilon);
            foreach (var (name, owner) in Distinct<IHasOwnOptimizer>(module))
                parts.Add(name, owner.CreateOptimizer(options.Optimizer!.Value, constants));
            var ofModules = ScalesOfModules(module);
            IReadOnlyList<ParameterGroup> Groups(double scale) => ParameterGroup.ForModule(
                module,
                options.WeightDecay!.Value,
                options.NoWeightDecay,
                parts.Values.SelectMany(part => part.Parameters),
                (name, parameter) =>
                    scale
                    * learningRateScale(name)
                    * ofModules.GetValueOrDefault(parameter.Handle, 1)
                    * LayerScale(module, options.LayerDecay, name));

            if (options.Optimizer == OptimizerKind.Muon && HiddenMatricesOf(module) is { Count: > 0 } matrices)
            {
                // Leaves what is not a hidden matrix to AdamW, below.
                var scale = options.MuonLearningRate / options.LearningRate!.Value;
                bool IsHidden(KeyValuePair<string, Parameter> pair) => matrices.ContainsKey(pair.Value.Handle);
                var hidden = Groups(scale)
                    .Select(group => group with { Parameters = [.. group.Parameters.Where(IsHidden)] })
                    .Where(group => group.Parameters.Count > 0);
                parts.Add("muon", new Muon(hidden, matrices.Values, options.MuonMomentum, options.Precision));
            }
            var groups = Groups(1);
            IOptimizer main = options.Optimizer switch
            {
                OptimizerKind.Lamb => new Lamb(groups, options.Beta1, options.Beta2, options.Epsilon),
                OptimizerKind.Sgd => new FusedSgd(groups, options.Momentum, options.Nesterov),
                _ => new FusedAdamW(groups, options.Beta1, options.Beta2, options.Epsilon),
            };
            if (parts.Count == 0)
                return main;
            parts.Add("main", main);
            return new CompositeOptimizer(parts);
        }
        catch
        {
            foreach (var part in parts.Values)
                part.Dispose();
            throw;
        }
    }

    /// <summary>
    /// γ^(L − l) for a parameter of layer l of L. For one that several layers share it is the mean over those: as much as scaling each
    /// layer's share of the summed gradient would come to if the shares were alike.
    /// </summary>
    private static double LayerScale(nn.Module module, double layerDecay, string parameter) =>
        layerDecay == 1 || module is not IHasLayers layered
            ? 1
            : layered.LayersOf(parameter).Average(layer => Math.Pow(layerDecay, layered.LastLayer - layer));

    // What Muon trains, by the parameter's handle.
    private static Dictionary<IntPtr, HiddenMatrices> HiddenMatricesOf(nn.Module module)
    {
        var found = new Dictionary<IntPtr, HiddenMatrices>();
        var told = new HashSet<IntPtr>();
        foreach (var (_, part) in Distinct<nn.Module>(module))
        {
            if (part is IHasHiddenMatrices telling)
            {
                foreach (var matrices in telling.HiddenMatrices)
                    found[matrices.Weight.Handle] = matrices;
                told.UnionWith(part.parameters().Select(parameter => parameter.Handle));
            }
        }
        foreach (var filters in module.parameters().Where(parameter => parameter.dim() == 4 && !told.Contains(parameter.Handle)))
            found[filters.Handle] = new(filters);
        return found;
    }

    // By the parameter's handle.
    private static Dictionary<IntPtr, double> ScalesOfModules(nn.Module module)
    {
        var scales = new Dictionary<IntPtr, double>();
        foreach (var (_, scaled) in Distinct<IHasLearningRateScale>(module))
        {
            foreach (var handle in ((nn.Module)scaled).parameters().Select(parameter => parameter.Handle).Distinct())
                scales[handle] = scales.GetValueOrDefault(handle, 1) * scaled.LearningRateScale;
        }
        return scales;
    }

    // A module that is used several times counts once.
    private static IEnumerable<(string Name, T Part)> Distinct<T>(nn.Module module)
    {
        var seen = new HashSet<nn.Module>(ReferenceEqualityComparer.Instance);
        var parts = module.named_modules().Select(pair => ($"module.{pair.name}", pair.module)).Prepend(("module", module));
        foreach (var (name, part) in parts)
        {
            if (part is T wanted && seen.Add(part))
                yield return (name, wanted);
        }
    }
}
