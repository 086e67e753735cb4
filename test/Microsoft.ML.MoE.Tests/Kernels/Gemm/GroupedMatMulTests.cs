using Microsoft.ML.MoE.Kernels.Gemm;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Kernels.Gemm;

[TestClass]
public sealed class GroupedMatMulTests
{
    [TestMethod]
    [DataRow(new[] { 5, 9, 9, 16 }, 8, 12, DisplayName = "one empty group")]
    [DataRow(new[] { 16, 16, 16, 16 }, 8, 12, DisplayName = "all in the first group")]
    [DataRow(new[] { 0, 0, 0, 16 }, 8, 12, DisplayName = "all in the last group")]
    [DataRow(new[] { 1 }, 4, 4, DisplayName = "one row")]
    [DataRow(new[] { 4, 7 }, 3, 5, DisplayName = "unaligned widths")]
    public void EqualsOneProductPerGroupInOutputAndGradients(int[] ends, int inputs, int outputs) =>
        Compare(GroupedMatMul.Apply, ends, inputs, outputs);

    [TestMethod]
    [DataRow(3, 5, DisplayName = "both widths")]
    [DataRow(8, 5, DisplayName = "outputs alone")]
    [DataRow(3, 8, DisplayName = "inputs alone")]
    public void PaddingChangesNeitherOutputNorGradients(int inputs, int outputs) =>
        Compare(GroupedMatMul.Padded, [4, 4, 9], inputs, outputs);

    [TestMethod]
    [RequiresCuda]
    [TestCategory("Cuda")]
    [DataRow(16, 24, ScalarType.Float32)]
    [DataRow(16, 24, ScalarType.BFloat16)]
    [DataRow(18, 25, ScalarType.Float32)]
    [DataRow(18, 25, ScalarType.BFloat16)]
    public void CudaComputesWhatTheCpuDoes(int inputs, int outputs, ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        var (x_RI, w_EIO, ends_E) = (randn(9, inputs), randn(3, inputs, outputs), tensor(new[] { 4, 4, 9 }));
        TensorAssert.AreClose(
            GroupedMatMul.ByGroup(x_RI, w_EIO, ends_E),
            GroupedMatMul.Apply(x_RI.to(type, CUDA), w_EIO.to(type, CUDA), ends_E.cuda()),
            type == ScalarType.Float32 ? 1e-2 : 0.1
        );   // TF32
    }

    private static void Compare(Func<Tensor, Tensor, Tensor, Tensor> product, int[] ends, int inputs, int outputs)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        var x_RI = randn(ends[^1], inputs).requires_grad_(true);
        var w_EIO = randn(ends.Length, inputs, outputs).requires_grad_(true);
        var ends_E = tensor(ends);
        var weights_RO = randn(ends[^1], outputs);

        var actual_RO = product(x_RI, w_EIO, ends_E);
        (actual_RO * weights_RO).sum().backward();
        var (xGrad, wGrad) = (x_RI.grad!.clone(), w_EIO.grad!.clone());
        x_RI.grad!.zero_();
        w_EIO.grad!.zero_();

        var expected_RO = stack(Enumerable.Range(0, ends[^1]).Select(r => x_RI[r].matmul(w_EIO[Array.FindIndex(ends, end => r < end)])));
        (expected_RO * weights_RO).sum().backward();
        TensorAssert.AreClose(expected_RO, actual_RO, 1e-5, "output");
        TensorAssert.AreClose(x_RI.grad!, xGrad, 1e-5, "gradient of the rows");
        TensorAssert.AreClose(w_EIO.grad!, wGrad, 1e-5, "gradient of the matrices");
    }

    [TestMethod]
    public void NoRowsGiveNoRows()
    {
        using var scope = NewDisposeScope();
        CollectionAssert.AreEqual(new long[] { 0, 6 }, GroupedMatMul.Apply(zeros(0, 4), zeros(2, 4, 6), zeros([2], int32)).shape);
    }
}
