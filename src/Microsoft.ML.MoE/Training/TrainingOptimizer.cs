using Microsoft.ML.MoE.Models;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>Makes the optimizer of a training.</summary>
internal static class TrainingOptimizer
{
    /// <summary>Makes one optimizer for all parameters, or one for all that no module has an optimizer of its own for, together with those.</summary>
    /// <param name="module">What is trained.</param>
    /// <param name="options">How.</param>
    /// <param name="learningRateScale">What the learning rate of a parameter is multiplied by, by its name.</param>
    public static IOptimizer Create(nn.Module module, TrainingOptions options, Func<string, double> learningRateScale)
    {
        var parts = new Dictionary<string, IOptimizer>();
        try
        {
            foreach (var (name, owner) in Owners(module))
                parts.Add(name, owner.CreateOptimizer(options));
            var groups = ParameterGroup.ForModule(module, options.WeightDecay, parts.Values.SelectMany(part => part.Parameters), name => learningRateScale(name) * LayerScale(module, options.LayerDecay, name));
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
    /// γ^(L − l) for a parameter of layer l of L. For one that several layers share it is the mean over those: as much as scaling each layer's share of the summed gradient would come to if
    /// the shares were alike.
    /// </summary>
    private static double LayerScale(nn.Module module, double layerDecay, string parameter) =>
        layerDecay == 1 || module is not IHasLayers layered ? 1 : layered.LayersOf(parameter).Average(layer => Math.Pow(layerDecay, layered.LastLayer - layer));

    private static IEnumerable<(string Name, IHasOwnOptimizer Owner)> Owners(nn.Module module)
    {
        var seen = new HashSet<nn.Module>(ReferenceEqualityComparer.Instance);   // a module that is used several times is trained once
        foreach (var (name, part) in module.named_modules().Select(pair => ($"module.{pair.name}", pair.module)).Prepend(("module", module)))
        {
            if (part is IHasOwnOptimizer owner && seen.Add(part))
                yield return (name, owner);
        }
    }
}
