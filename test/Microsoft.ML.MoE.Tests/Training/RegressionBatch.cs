using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>Some points of <see cref="RegressionBatches"/>.</summary>
internal sealed record RegressionBatch(Tensor X, Tensor Y) : IDisposable
{
    /// <summary>The mean squared error of a model, which must be in training mode.</summary>
    public StepLoss SquaredError(nn.Module<Tensor, Tensor> model)
    {
        Assert.IsTrue(model.training);
        return new((model.call(X) - Y).square().mean(), zeros([]), (int)X.shape[0]);
    }

    public void Dispose()
    {
        X.Dispose();
        Y.Dispose();
    }
}
