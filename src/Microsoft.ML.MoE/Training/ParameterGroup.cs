using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>Parameters that an optimizer treats alike.</summary>
/// <param name="Parameters">The parameters by name; the names appear in the optimizer's state.</param>
/// <param name="WeightDecay">Decoupled weight decay: at every step each weight shrinks by this times the learning rate.</param>
public sealed record ParameterGroup(IReadOnlyList<KeyValuePair<string, Parameter>> Parameters, double WeightDecay)
{
    /// <summary>
    /// Splits a module's trainable parameters into those that decay and those that do not. Matrices, stacks of matrices (experts) and embedding tables decay;
    /// vectors, biases (stacked ones too), position embeddings and the class token do not: shrinking those takes away freedom without limiting what the model can fit.
    /// A module that is used several times counts once.
    /// </summary>
    /// <param name="module">The module; parameters with <c>requires_grad</c> false are left out.</param>
    /// <param name="weightDecay">Weight decay of the first group; the second has 0.</param>
    /// <returns>The groups that have parameters, at most two.</returns>
    public static IReadOnlyList<ParameterGroup> ForModule(nn.Module module, double weightDecay)
    {
        var parameters = Distinct(module).ToArray();
        ParameterGroup[] groups =
        [
            new(parameters.Where(pair => Decays(pair.Key, pair.Value)).ToArray(), weightDecay),
            new(parameters.Where(pair => !Decays(pair.Key, pair.Value)).ToArray(), 0),
        ];
        return groups.Where(group => group.Parameters.Count > 0).ToArray();
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

    private static bool Decays(string name, Parameter parameter)
    {
        var own = name[(name.LastIndexOf('.') + 1)..];
        return parameter.dim() >= 2
            && !own.StartsWith("bias", StringComparison.OrdinalIgnoreCase)
            && !own.StartsWith("position", StringComparison.OrdinalIgnoreCase)
            && !own.StartsWith("classToken", StringComparison.OrdinalIgnoreCase);
    }
}
