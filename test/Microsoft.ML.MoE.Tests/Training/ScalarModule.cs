using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>One number, 1 at the start.</summary>
internal sealed class ScalarModule : nn.Module<Tensor, Tensor>
{
    public ScalarModule() : base(nameof(ScalarModule))
    {
        RegisterComponents();
    }

    public Parameter Value { get; } = new(ones([]));

    public override Tensor forward(Tensor x) => Value * x;

    /// <summary>A loss that pulls the number towards 0. The module must be in training mode.</summary>
    public StepLoss SquaredValue()
    {
        Assert.IsTrue(training);
        return new(Value.square(), zeros([]), 1);
    }
}
