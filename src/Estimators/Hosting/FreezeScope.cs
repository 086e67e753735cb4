using TorchSharp.Modules;
using static TorchSharp.torch;
using BatchNorm = Microsoft.ML.MoE.Layers.BatchNorm;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Keeps parts of a model from learning until it is disposed.</summary>
internal sealed class FreezeScope : IDisposable
{
    private readonly List<Parameter> frozen = [];
    private readonly List<BatchNorm> fixedNorms = [];

    /// <summary>Freezes.</summary>
    /// <param name="model">The model.</param>
    /// <param name="isFrozen">Whether a parameter or a module of a name shall not learn.</param>
    public FreezeScope(nn.Module model, Func<string, bool> isFrozen)
    {
        foreach (var (name, parameter) in model.named_parameters())
        {
            if (!parameter.requires_grad || !isFrozen(name))
                continue;
            parameter.requires_grad = false;
            frozen.Add(parameter);
        }
        // Their running means would follow the new images.
        foreach (var (name, module) in model.named_modules())
        {
            if (module is not BatchNorm norm || !isFrozen(name))
                continue;
            norm.IsFixed = true;
            fixedNorms.Add(norm);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        frozen.ForEach(parameter => parameter.requires_grad = true);
        fixedNorms.ForEach(norm => norm.IsFixed = false);
    }
}
