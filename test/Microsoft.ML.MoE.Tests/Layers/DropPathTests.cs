using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

[TestClass]
public sealed class DropPathTests
{
    [TestMethod]
    public void ASampleIsLeftOutWholeOrScaledSoThatTheMeanStays()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        using var layer = new DropPath(0.2);
        var x_NLD = randn(1000, 3, 4).requires_grad_(true);

        var y_NLD = layer.forward(x_NLD);
        var factors_NLD = y_NLD.detach() / x_NLD.detach();

        TensorAssert.AreClose(
            factors_NLD.select(1, 0).select(1, 0).view(1000, 1, 1).expand(1000, 3, 4), factors_NLD, 1e-5, "one factor a sample");
        var kept_N = factors_NLD[.., 0, 0].gt(0.5);
        TensorAssert.AreClose(kept_N.to_type(float32) * 1.25, factors_NLD[.., 0, 0], 1e-5, "0 or 1 / (1 - 0.2)");
        Assert.AreEqual(800, kept_N.sum().item<long>(), 60);   // 5 standard deviations
        TensorAssert.AreClose(factors_NLD, autograd.grad([y_NLD.sum()], [x_NLD])[0], 1e-5, "gradient");
    }

    [TestMethod]
    public void WithoutProbabilityAndInEvaluationTheInputStaysAndNoNumberIsDrawn()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using DropPath never = new(0), often = new(0.9);
        often.eval();
        var x = randn(5, 3);
        random.manual_seed(3);
        var expected = rand(2);
        random.manual_seed(3);

        TensorAssert.AreClose(x, never.forward(x), 0);
        TensorAssert.AreClose(x, often.forward(x), 0);

        TensorAssert.AreClose(expected, rand(2), 0);
    }

    [TestMethod]
    public void TheTypeStaysAndBFloat16KeepsTheMean()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var layer = new DropPath(0.3);

        var y = layer.forward(full(20_000, 3f, dtype: bfloat16).unsqueeze(1));

        Assert.AreEqual(bfloat16, y.dtype);
        TensorAssert.AreClose(tensor(3 / 0.7), y.max(), 4e-3);
        TensorAssert.AreClose(tensor(3.0), y.to_type(float64).mean(), 2e-2);
    }

    [TestMethod]
    public void TheProbabilityRisesLinearlyFromZero()
    {
        double[] expected = [0, 0.1, 0.2, 0.3];
        for (var block = 0; block < 4; block++)
            Assert.AreEqual(expected[block], DropPath.ProbabilityOf(0.3, block, 4), 1e-12);
        Assert.AreEqual(0, DropPath.ProbabilityOf(0.3, 0, 1));
    }

    public static IEnumerable<TransformerClassifierConfig> Models =>
    [
        WideNetConfig.Tiny with { Blocks = 2, RouterNoise = 0, TrainingCapacity = null },
        WideNetConfig.Tiny with { Blocks = 2, Experts = 0, FeedForwardWidth = 32 },
        VisionTransformerConfig.Tiny with { Blocks = 2 },
        VisionTransformerConfig.MoeTiny with { Blocks = 2, RouterNoise = 0, TrainingCapacity = null },
    ];

    // The first of two blocks skips nothing, the second its attention, its feed-forward layer, both or neither: four ways through, each
    // taken by a quarter of equal images.
    [TestMethod]
    [DynamicData(nameof(Models))]
    public void EachImageOfAModelTakesAWayOfItsOwn(TransformerClassifierConfig config)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var model = (config with { DropPath = 0.5 }).Build();
        using (no_grad())
        {
            foreach (var parameter in model.parameters())
                parameter.add_(randn_like(parameter) * 0.1);
        }
        var images_NCHW = randn(1, 3, 8, 8).expand(400, 3, 8, 8).contiguous();

        var ways = Ways(model.forward(images_NCHW).Logits_NC);
        model.eval();
        var straight = Ways(model.forward(images_NCHW).Logits_NC);

        Assert.HasCount(4, ways);
        // 6 standard deviations about 100.
        Assert.IsTrue(ways.Values.All(count => count is > 50 and < 150), string.Join(", ", ways.Values));
        Assert.HasCount(1, straight);

        static Dictionary<double, int> Ways(Tensor logits_NC) =>
            logits_NC.select(1, 0).data<float>().ToArray().CountBy(logit => Math.Round(logit, 3)).ToDictionary();
    }

    [TestMethod]
    public void AHundredStepsLeaveNoTensorBehind()
    {
        using var seed = new SeedScope(5, CPU);
        using var model = (VisionTransformerConfig.Tiny with { DropPath = 0.5 }).Build();
        using var images_NCHW = rand(2, 3, 8, 8);
        Step();
        var before = LiveTensors.Count();
        for (var i = 0; i < 100; i++)
            Step();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Step()
        {
            using var scope = NewDisposeScope();
            model.forward(images_NCHW).Logits_NC.sum().backward();
        }
    }

    [TestMethod]
    [DataRow(-0.1)]
    [DataRow(1.0)]
    [DataRow(double.NaN)]
    public void AProbabilityOutOfRangeIsNamed(double probability)
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() => new DropPath(probability));
        Assert.Contains($"The probability is {probability}; it must be at least 0 and below 1", error.Message);
    }
}
