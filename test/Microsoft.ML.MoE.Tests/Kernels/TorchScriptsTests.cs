using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Gemm;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Kernels;

[TestClass]
public sealed class TorchScriptsTests
{
    [TestMethod]
    [DataRow(new[] { 4, 4, 10 }, DisplayName = "an expert without rows")]
    [DataRow(new[] { 0, 10, 10 }, DisplayName = "all rows to one expert")]
    [DataRow(new[] { 10 }, DisplayName = "one expert")]
    [DataRow(new[] { 0, 1 }, DisplayName = "one row")]
    [DataRow(new[] { 0, 0 }, DisplayName = "no rows")]
    public void GroupedMatMulIsOneProductPerExpertInValueAndGradients(int[] ends)
    {
        foreach (var (type, tolerance) in new[] { (float32, 1e-5), (bfloat16, 0.1) })
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator(7);
            var x_RD = randn([ends[^1], 16], generator: generator).to(type).requires_grad_();
            var w_EDF = randn([ends.Length, 16, 24], generator: generator).to(type).requires_grad_();
            var grad_RF = randn([ends[^1], 24], generator: generator).to(type);

            var y_RF = TorchScripts.GroupedMatMul(x_RD, w_EDF, tensor(ends));
            (y_RF * grad_RF).sum().backward();

            for (int e = 0; e < ends.Length; e++)
            {
                int from = e == 0 ? 0 : ends[e - 1], to = ends[e];
                var x_CD = x_RD.detach()[from..to].to(float64);
                var grad_CF = grad_RF[from..to].to(float64);
                var w_DF = w_EDF.detach()[e].to(float64);
                AssertClose(x_CD.mm(w_DF), y_RF[from..to], tolerance);
                AssertClose(grad_CF.mm(w_DF.t()), x_RD.grad![from..to], tolerance);
                AssertClose(x_CD.t().mm(grad_CF), w_EDF.grad![e], tolerance);
            }
        }
    }

    [TestMethod]
    public void VersionsCountChangesInPlace()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        Tensor[] tensors = [zeros(3), zeros(2, 2)];
        var before = TorchScripts.Versions(tensors);
        _ = tensors[0] + 1;
        Assert.AreEqual(before, TorchScripts.Versions(tensors));
        tensors[0].add_(1);
        tensors[1].view(-1).narrow(0, 1, 2).copy_(ones(2));
        Assert.AreEqual(before + 2, TorchScripts.Versions(tensors));
        Assert.AreEqual(0, TorchScripts.Versions([]));
    }

    [TestMethod]
    public void GroupedMatMulOnTheMetaDeviceHasTheShapeOfItsResult()
    {
        using var scope = NewDisposeScope();
        var y = TorchScripts.GroupedMatMul(
            empty(5, 16, device: META), empty(3, 16, 24, device: META), empty(3, dtype: int32, device: META));

        CollectionAssert.AreEqual(new long[] { 5, 24 }, y.shape);
        Assert.AreEqual(DeviceType.META, y.device_type);
    }

    [TestMethod]
    public void GroupedMatMulNamesWhatDoesNotFit()
    {
        using var scope = NewDisposeScope();
        Tensor x = zeros(5, 16),
            w = zeros(3, 16, 24),
            offsets = tensor(new[] { 1, 2, 5 });

        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => TorchScripts.GroupedMatMul(zeros(5, 12), w, offsets)).Message, "[5, 12]");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => TorchScripts.GroupedMatMul(x, w, offsets.to(int64))).Message, "Int64");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => TorchScripts.GroupedMatMul(x, w, offsets[..2])).Message, "3 experts");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => TorchScripts.GroupedMatMul(x.to(bfloat16), w, offsets)).Message, "BFloat16");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => TorchScripts.GroupedMatMul(x, zeros(3, 16, 22), offsets)).Message,
            "multiples of 4");
    }

    [TestMethod]
    public void FusedAdamWDoesTheFirstStepOfThePaper()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var state = AdamWState.Create();

        // At the first step the bias-corrected moments are g and g^2: w <- w (1 - lr decay) - lr g / (|g| + eps).
        TorchScripts.FusedAdamW(
            new([state.Weight], [state.Gradient], [state.First], [state.Second], [state.Step]),
            new(0.1, 0.9, 0.999, 0.5, 1e-8),
            null,
            null);

        AssertClose(tensor([1 * 0.95 - 0.1, -2 * 0.95 + 0.1, 3 * 0.95]), state.Weight, 1e-6);
        AssertClose(tensor([0.02, -0.4, 0]), state.First, 1e-6);
        Assert.AreEqual(1, state.Step.item<float>());
    }

    [TestMethod]
    public void FusedAdamWDividesTheGradients()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var state = AdamWState.Create();

        TorchScripts.FusedAdamW(
            new([state.Weight], [state.Gradient], [state.First], [state.Second], [state.Step]),
            new(0.1, 0.9, 0.999, 0, 1e-8),
            tensor(4f),
            tensor(0f));

        AssertClose(tensor([0.05, -1, 0]), state.Gradient, 1e-6);
        AssertClose(tensor([0.005, -0.1, 0]), state.First, 1e-6);
    }

    [TestMethod]
    public void FusedAdamWLeavesEverythingWhenToldToSkip()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var state = AdamWState.Create();

        TorchScripts.FusedAdamW(
            new([state.Weight], [state.Gradient], [state.First], [state.Second], [state.Step]),
            new(0.1, 0.9, 0.999, 0.5, 1e-8),
            tensor(2f),
            tensor(1f));

        AssertClose(tensor([1.0, -2, 3]), state.Weight, 0);
        AssertClose(zeros(3), state.First, 0);
        AssertClose(zeros(3), state.Second, 0);
        Assert.AreEqual(0, state.Step.item<float>());
    }

    [TestMethod]
    public void GlobalNormIsTheRootOfAllSquares()
    {
        using var scope = NewDisposeScope();

        var norm = TorchScripts.GlobalNorm([tensor(new[,] { { 1f, 2f }, { 4f, -2f } }), tensor(10f), tensor([6f, 8f]).to(bfloat16)]);

        Assert.AreEqual(15, norm.item<float>(), 1e-5);   // 1 + 4 + 16 + 4 + 100 + 36 + 64 = 225
        Assert.AreEqual(0, norm.dim());
        Assert.ThrowsExactly<ArgumentException>(() => TorchScripts.GlobalNorm([]));
    }

    [TestMethod]
    public void EmbeddingBagIsAWeightedSumOfRows()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var table_ND = tensor(
            new[,]
            {
                { 1f, 2f },
                { 10f, 20f },
                { 100f, 200f },
            }
        );
        var ids_CM = tensor(
            new[,]
            {
                { 0L, 2L, 0L },
                { 1L, 1L, 2L },
            }
        );

        AssertClose(
            tensor(
                new[,]
                {
                    { 104.0, 208.0 },
                    { -20.0, -40.0 },
                }
            ),
            TorchScripts.EmbeddingBag(
                table_ND,
                ids_CM,
                tensor(
                    new[,]
                    {
                        { 1f, 1f, 3f },
                        { 2f, -4f, 0f },
                    }
                )),
            1e-4);
        Assert.ThrowsExactly<ArgumentException>(() => TorchScripts.EmbeddingBag(table_ND, ids_CM, zeros(3, 2)));
        Assert.ThrowsExactly<ArgumentException>(() => TorchScripts.EmbeddingBag(table_ND, ids_CM.to_type(float32), zeros(2, 3)));
        Assert.ThrowsExactly<ArgumentException>(() => TorchScripts.EmbeddingBag(table_ND.to_type(bfloat16), ids_CM, zeros(2, 3)));
    }

    [TestMethod]
    public void ManyThreadsShareTheCompiledFunctions()
    {
        var norms = new float[32];
        Parallel.For(0, norms.Length, i =>
        {
            using var scope = NewDisposeScope();
            norms[i] = TorchScripts.GlobalNorm([tensor([3f * i, 4f * i])]).item<float>();
        });

        for (int i = 0; i < norms.Length; i++)
            Assert.AreEqual(5f * i, norms[i], 1e-3f);
    }

    private static void AssertClose(Tensor expected, Tensor actual, double tolerance)
    {
        CollectionAssert.AreEqual(expected.shape, actual.shape);
        if (expected.numel() > 0)
            Assert.AreEqual(0, (expected.to(float64) - actual.detach().to(float64)).abs().max().item<double>(), tolerance);
    }

    private sealed record AdamWState(Tensor Weight, Tensor Gradient, Tensor First, Tensor Second, Tensor Step)
    {
        public static AdamWState Create() => new(tensor([1f, -2f, 3f]), tensor([0.2f, -4f, 0f]), zeros(3), zeros(3), tensor(0f));
    }
}
