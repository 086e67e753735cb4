using Microsoft.ML.MoE.Optimizers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>One number, 1 at the start, and other modules; with a learning rate of its own.</summary>
internal sealed class ScaledModule : nn.Module, IHasLearningRateScale
{
    public ScaledModule(double scale, params nn.Module[] parts) : base(nameof(ScaledModule))
    {
        LearningRateScale = scale;
        Value = new Parameter(ones([]));
        register_parameter("value", Value);
        for (var i = 0; i < parts.Length; i++)
            register_module($"part{i}", parts[i]);
    }

    public Parameter Value { get; }

    public double LearningRateScale { get; }
}
