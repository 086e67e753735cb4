using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>What every preset keeps to.</summary>
[TestClass]
public sealed class ImageClassifierContractTests
{
    private const long SmallEnoughToTrain = 1_000_000;

    public static IEnumerable<string> All => ImageClassifierPresets.All.Select(preset => preset.Name);

    public static IEnumerable<string> Small =>
        ImageClassifierPresets.All.Where(preset => preset.Config.GetCost().Parameters < SmallEnoughToTrain).Select(preset => preset.Name);

    public static IEnumerable<(string Name, ScalarType ComputeType)> AllInBothTypes =>
        All.SelectMany(name => new[] { (name, ScalarType.Float32), (name, ScalarType.BFloat16) });

    [TestMethod]
    [DynamicData(nameof(AllInBothTypes))]
    public void RunsOnTheMetaDeviceWithoutTouchingTheHost(string name, ScalarType computeType) =>
        RunOnTheMetaDevice(Config(name), computeType);

    [TestMethod]
    [DataRow(16, 33, ScalarType.Float32)]
    [DataRow(16, 100, ScalarType.BFloat16)]
    [DataRow(18, 33, ScalarType.BFloat16)]
    public void WidthsThatTheGroupedKernelRefusesDoNotTouchTheHostEither(int width, int expertWidth, ScalarType computeType) =>
        RunOnTheMetaDevice(WideNetConfig.Tiny with { Width = width, ExpertWidth = expertWidth }, computeType);

    [TestMethod]
    public void LeavingBranchesOutDoesNotTouchTheHost() =>
        RunOnTheMetaDevice(WideNetConfig.Tiny with { DropPath = 0.2 }, ScalarType.Float32);

    // The meta device takes the path of CUDA, but for three stand-ins. LayerNorm and attention compute their plain definition in place of
    // libtorch's fused kernels, and the grouped product gives an empty tensor: these have no meta kernels. None of the fused kernels asks
    // the host; libtorch's grouped product does where it has no kernel for the type or the device (float32, or before compute capability
    // 9.0), which cannot be seen from here.
    private static void RunOnTheMetaDevice(ImageClassifierConfig config, ScalarType computeType)
    {
        using var scope = NewDisposeScope();
        using var model = config.Build(META, computeType);
        foreach (var training in new[] { true, false })
        {
            model.train(training);
            // The meta device has no data: a tensor made elsewhere or a copy to the host throws.
            var output = model.forward(zeros([2, config.Channels, config.ImageHeight, config.ImageWidth], device: META));
            CollectionAssert.AreEqual(new long[] { 2, config.ClassCount }, output.Logits_NC.shape);
            Assert.AreEqual(DeviceType.META, output.Logits_NC.device_type);
            Assert.AreEqual(DeviceType.META, output.AuxiliaryLoss.device_type);
            Assert.IsTrue(
                output.Routing.All(record =>
                    record.ExpertCounts_E.device_type == DeviceType.META && record.DroppedCount.device_type == DeviceType.META));
        }
    }

    [TestMethod]
    [DynamicData(nameof(Small))]
    public void EveryParameterGetsAFiniteGradient(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        using var model = Config(name).Build();
        Randomise(model);
        var output = model.forward(Images(model.Config, 8));
        (
            nn.functional.cross_entropy(output.Logits_NC, arange(8, int64).remainder(model.Config.ClassCount)) + output.AuxiliaryLoss
        ).backward();

        Assert.IsTrue(output.Logits_NC.isfinite().all().ToBoolean());
        foreach (var (parameterName, parameter) in model.named_parameters())
        {
            Assert.IsNotNull(parameter.grad, parameterName);
            Assert.IsTrue(parameter.grad.isfinite().all().ToBoolean(), parameterName);
            Assert.IsGreaterThan(0, parameter.grad.abs().max().ToDouble(), parameterName);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Small))]
    public void SavedWeightsGiveTheSameScores(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        var config = Config(name);
        using var model = config.Build();
        Randomise(model);
        using var file = new MemoryStream();
        ModuleWeights.Save(model, file);

        file.Position = 0;
        using var loaded = ImageClassifierConfig.FromJson(config.ToJson()).Build();
        ModuleWeights.Load(loaded, file, file.Length);

        model.eval();
        loaded.eval();
        var images_NCHW = Images(config, 3);
        TensorAssert.AreClose(model.forward(images_NCHW).Logits_NC, loaded.forward(images_NCHW).Logits_NC, 0);
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void AnImagesScoresDoNotDependOnItsBatch(string name)
    {
        var config = SmallModels.Shrunk(Config(name));
        ScoresDoNotDependOnTheBatch(config, drops: false);
        foreach (var priority in Enum.GetValues<CapacityPriority>())
        {
            if (SmallModels.WithCapacity(config, new ExpertCapacity(0.6, Priority: priority)) is { } tight)
                ScoresDoNotDependOnTheBatch(tight, drops: true);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Small))]
    public void InBFloat16AnImagesProbabilitiesStayNearThoseThatItHasAlone(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = WithAllExpertsChosen(Config(name)).Build(computeType: ScalarType.BFloat16);
        Randomise(model);
        model.eval();
        var images_NCHW = Images(model.Config, 9);
        var alone_NC = cat([.. Enumerable.Range(0, 9).Select(i => model.forward(images_NCHW.narrow(0, i, 1)).Logits_NC.softmax(-1))], 0);
        TensorAssert.AreClose(alone_NC, model.forward(images_NCHW).Logits_NC.softmax(-1), 0.01);
    }

    // Of images alone, together, and in another place of a larger batch.
    private static void ScoresDoNotDependOnTheBatch(ImageClassifierConfig config, bool drops)
    {
        const int Count = 5;
        // Of another order of additions; blocks without a skip around them make it larger, one after the other.
        var rounding = config is SparseMlpConfig ? 1e-3 : 1e-5;
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = config.Build();
        Randomise(model);
        model.eval();
        var images_NCHW = Images(config, Count);
        var alone = Enumerable.Range(0, Count).Select(i => model.forward(images_NCHW.narrow(0, i, 1))).ToArray();
        var alone_NC = cat([.. alone.Select(output => output.Logits_NC)], 0);
        var together = model.forward(images_NCHW);
        TensorAssert.AreClose(alone_NC, together.Logits_NC, rounding);
        TensorAssert.AreClose(
            alone_NC, model.forward(cat([Images(config, 3), images_NCHW, Images(config, 2)], 0)).Logits_NC.narrow(0, 3, Count), rounding);
        Assert.IsGreaterThan(
            10 * rounding,
            (alone_NC.narrow(0, 1, Count - 1) - alone_NC.narrow(0, 0, Count - 1)).abs().amax([1]).min().ToDouble(),
            "other images have other scores");
        Assert.AreEqual(alone.Sum(Dropped), Dropped(together));
        Assert.AreEqual(drops, Dropped(together) > 0);

        static long Dropped(ImageClassifierOutput output) => output.Routing.Sum(record => record.DroppedCount.ToInt64());
    }

    [TestMethod]
    [DynamicData(nameof(Small))]
    public void BFloat16StaysNearFloat32(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        var config = WithAllExpertsChosen(Config(name));
        using var model = config.Build();
        Randomise(model);
        using var half = config.Build(computeType: ScalarType.BFloat16);
        half.load_state_dict(model.state_dict());
        model.eval();
        half.eval();
        var images_NCHW = Images(config, 3);
        var (exact_NC, rounded_NC) = (model.forward(images_NCHW).Logits_NC, half.forward(images_NCHW).Logits_NC);
        Assert.AreEqual(float32, rounded_NC.dtype);
        TensorAssert.AreClose(exact_NC, rounded_NC, 0.1);
        Assert.IsGreaterThan(0, (exact_NC - rounded_NC).abs().max().ToDouble(), "the products really are in bfloat16");
    }

    [TestMethod]
    [DataRow("widenet-tiny")]
    [DataRow("vit-moe-tiny")]
    [DataRow("sparse-mlp-tiny")]
    public void AThousandStepsLeaveNoTensorBehind(string name)
    {
        using var seed = new SeedScope(5, CPU);
        var config = Config(name);
        using var model = config.Build();
        using var images_NCHW = Images(config, 2);
        Step();
        var before = LiveTensors.Count();
        for (var i = 0; i < 1000; i++)
            Step();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Step()
        {
            using var scope = NewDisposeScope();
            var output = model.forward(images_NCHW);
            (output.Logits_NC.sum() + output.AuxiliaryLoss).backward();
        }
    }

    [TestMethod]
    public void ImagesOfAnotherShapeAreRefused()
    {
        using var model = WideNetConfig.Tiny.Build();
        var error = Assert.ThrowsExactly<ArgumentException>(() => model.forward(zeros(2, 3, 9, 8)));
        Assert.Contains("(2, 3, 9, 8)", error.Message);
        Assert.Contains("(N, 3, 8, 8)", error.Message);
    }

    private static ImageClassifierConfig Config(string name) => ImageClassifierPresets.All.Single(preset => preset.Name == name).Config;

    // Else rounding may change which are chosen.
    private static ImageClassifierConfig WithAllExpertsChosen(ImageClassifierConfig config) =>
        config switch
        {
            TransformerClassifierConfig { Experts: > 0 } sparse => sparse with { ExpertsPerToken = sparse.Experts },
            SparseMlpConfig sparse => sparse with
            {
                SpatialExpertsPerItem = Math.Max(1, sparse.SpatialExperts),
                ChannelExpertsPerItem = Math.Max(1, sparse.ChannelExperts),
            },
            _ => config,
        };

    private static Tensor Images(ImageClassifierConfig config, int count) =>
        randn(count, config.Channels, config.ImageHeight, config.ImageWidth);

    // Heads start at zero, which would hide everything before them.
    private static void Randomise(nn.Module model)
    {
        using var noGrad = no_grad();
        foreach (var parameter in model.parameters())
            parameter.add_(randn_like(parameter) * 0.1);
    }
}
