using Microsoft.ML.MoE.Kernels.Gemm;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Kernels.Gemm;

[TestClass]
[RequiresAvx2]
public sealed class ManagedLinearFunctionTests
{
    [TestMethod]
    [DataRow(new long[] { 7, 5 }, 3)]
    [DataRow(new long[] { 2, 9, 64 }, 96)]
    [DataRow(new long[] { 300, 270 }, 33)]
    [DataRow(new long[] { 3, 144 }, 20)]        // few rows
    [DataRow(new long[] { 2, 600, 70 }, 40)]    // several threads add up the gradient of the bias
    public void EqualsTorchsLinearInOutputAndGradients(long[] shape, int outputs)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var x = randn(shape).requires_grad_(true);
        var weight = randn(outputs, shape[^1]).requires_grad_(true);
        var bias = randn(outputs).requires_grad_(true);
        var weights = randn([.. shape[..^1], outputs]);

        var actual = ManagedLinearFunction.Apply(x, weight, bias);
        (actual * weights).sum().backward();
        var gradients = new[] { x, weight, bias }.Select(tensor => tensor.grad!.clone()).ToArray();
        foreach (var tensor in new[] { x, weight, bias })
            tensor.grad = null;
        var expected = nn.functional.linear(x, weight, bias);
        (expected * weights).sum().backward();

        TensorAssert.AreClose(expected, actual, 2e-4, "output");
        TensorAssert.AreClose(x.grad!, gradients[0], 2e-4, "gradient of x");
        TensorAssert.AreClose(weight.grad!, gradients[1], 2e-4, "gradient of the weight");
        TensorAssert.AreClose(bias.grad!, gradients[2], 2e-4, "gradient of the bias");
    }

    [TestMethod]
    public void TakesInputsAndGradientsThatAreNotContiguous()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var source = randn(6, 8, 10);
        var x = source.transpose(0, 1).detach().requires_grad_(true);
        var (weight, bias) = (randn(4, 10).requires_grad_(true), randn(4).requires_grad_(true));
        var y = ManagedLinearFunction.Apply(x, weight, bias);
        y.sum().backward();   // an expanded gradient
        TensorAssert.AreClose(nn.functional.linear(x, weight, bias), y, 1e-5, "output");
        TensorAssert.AreClose(weight.sum([0]).expand(8, 6, 10), x.grad!, 1e-5, "gradient of x");
    }

    [TestMethod]
    public void AnInputThatNeedsNoGradientGetsNone()
    {
        using var scope = NewDisposeScope();
        var (x, weight, bias) = (ones(3, 5), ones(2, 5).requires_grad_(true), zeros(2).requires_grad_(true));
        ManagedLinearFunction.Apply(x, weight, bias).sum().backward();
        Assert.IsNull(x.grad);
        Assert.AreEqual(3 * 10, weight.grad!.sum().ToDouble());
    }

    [TestMethod]
    public void AThousandStepsLeaveTheTensorCountWhereItWas()
    {
        using var weight = ones(2, 5).requires_grad_(true);
        using var bias = zeros(2).requires_grad_(true);
        Step();
        var before = LiveTensors.Count();
        for (var i = 0; i < 1000; i++)
            Step();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Step()
        {
            using var scope = NewDisposeScope();
            ManagedLinearFunction.Apply(ones(3, 5), weight, bias).sum().backward();
            ManagedLinearFunction.Apply(ones(5, 3).t(), weight, bias).sum().backward();
            (weight.grad, bias.grad) = (null, null);
        }
    }

    [TestMethod]
    public void FewRowsAreLeftToLibtorch()
    {
        using var scope = NewDisposeScope();
        var weight_OI = zeros(1024, 512);
        Assert.IsFalse(ManagedLinearFunction.Suits(zeros(1, 512), weight_OI), "the weights would be packed for one row");
        Assert.AreEqual(ManagedGemm.IsFast, ManagedLinearFunction.Suits(zeros(3, 4, 512), weight_OI));
        Assert.AreEqual(ManagedGemm.IsFast, ManagedLinearFunction.Suits(zeros(5, 512), weight_OI), "they are read in place");
        Assert.IsFalse(ManagedLinearFunction.Suits(zeros(5, 500), zeros(1024, 500)), "they are not");
    }
}
