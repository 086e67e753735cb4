using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>A plan scores as the forward pass does.</summary>
[TestClass]
[RequiresAvx2]
public sealed class ImageClassifierPlanTests
{
    private const long SmallEnough = 1_000_000;

    public static IEnumerable<string> All => ImageClassifierPresets.All.Select(preset => preset.Name);

    public static IEnumerable<string> Small =>
        ImageClassifierPresets.All.Where(preset => preset.Config.GetCost().Parameters < SmallEnough).Select(preset => preset.Name);

    [TestMethod]
    [DynamicData(nameof(Small))]
    public void ScoresAsTheForwardPassDoes(string name) => Compare(Config(name), 7, threads: 2);

    [TestMethod]
    [DynamicData(nameof(All))]
    public void ScoresEveryArchitectureAsTheForwardPassDoes(string name)
    {
        var config = SmallModels.Shrunk(Config(name));
        Compare(config, 1, threads: 1);
        Compare(config, 33, threads: 3);
        foreach (var priority in Enum.GetValues<CapacityPriority>())
        {
            if (SmallModels.WithCapacity(config, new ExpertCapacity(0.6, Priority: priority)) is { } tight)
                Compare(tight, 5, threads: 1);
        }
    }

    // Sides that do not halve evenly, one line, channels that fill no vector, a strip of lines that does not hold the image, no halving.
    [TestMethod]
    [DataRow(StemHalving.MaxPooling, 7, 9, 4, 1, 3)]
    [DataRow(StemHalving.MaxPooling, 4, 5, 4, 3, 40)]
    [DataRow(StemHalving.MaxPooling, 100, 30, 2, 3, 17)]
    [DataRow(StemHalving.MaxPooling, 5, 3, 1, 2, 17)]
    [DataRow(StemHalving.Stride, 7, 9, 4, 1, 3)]
    [DataRow(StemHalving.Stride, 100, 31, 4, 5, 33)]
    public void AStemConvolvesAsTheForwardPassDoes(StemHalving halving, int height, int width, int patchSize, int channels, int first)
    {
        var config = WideNetConfig.Tiny with
        {
            ImageHeight = height,
            ImageWidth = width,
            PatchSize = patchSize,
            Channels = channels,
            Width = 34,
            Stem = new() { Halving = halving, FirstChannels = first },
            Pooling = Pooling.Attention,
        };
        Compare(config, 3, threads: 1);
        Compare(config with { Pooling = Pooling.Mean }, 1, threads: 2);
    }

    [TestMethod]
    public void ThreadsShareTheConvolutionsOfALargeImage() =>
        Compare(WideNetConfig.Compact with { Blocks = 1 }, 1, threads: 2);

    [TestMethod]
    public void ANumberThatIsNone_StaysOneThroughMaximaAndReLU()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var model = SmallModels.Random(WideNetConfig.Thumbnail);
        var images_NCHW = zeros(1, 1, 28, 28);
        images_NCHW[0, 0, 13, 14] = float.NaN;
        var (logits, _) = Run(model.CreatePlan()!, model.Config, images_NCHW);
        Assert.IsTrue(logits.All(float.IsNaN));
    }

    // Odd widths, more terms than the products take at a time, one token, one expert, experts that nobody chooses.
    [TestMethod]
    [DataRow(9, 3, 300, 1, 1)]
    [DataRow(33, 3, 7, 5, 4)]
    [DataRow(270, 2, 520, 2, 1)]
    [DataRow(40, 1, 1, 16, 1)]
    public void SizesMayBeOdd(int width, int heads, int expertWidth, int experts, int chosen)
    {
        var config = WideNetConfig.Tiny with
        {
            Width = width,
            Heads = heads,
            ExpertWidth = expertWidth,
            Experts = experts,
            ExpertsPerToken = chosen,
            ClassCount = 3,
        };
        Compare(config, 3, threads: 1);
        Compare(config with { ImageHeight = 4, ImageWidth = 4 }, 1, threads: 1);
        Compare(config with { ImageHeight = 4, ImageWidth = 4 }, 14, threads: 1);
        Compare(config with { ImageHeight = 44, ImageWidth = 20, PatchSize = 4, Channels = 1 }, 1, threads: 1);
    }

    [TestMethod]
    public void GroupsRouteTogether()
    {
        foreach (var reuse in Enum.GetValues<RoutingReuse>())
            Compare(WideNetConfig.Tiny with { Blocks = 4, RoutingGroups = 2, RoutingReuse = reuse }, 3, threads: 1);
    }

    // Two threads on one image: steps large enough to be shared.
    [TestMethod]
    public void ThreadsShareTheStepsOfALargeImage() =>
        Compare(
            VisionTransformerConfig.Tiny with { ImageHeight = 64, ImageWidth = 64, Width = 256, Heads = 4, FeedForwardWidth = 768 },
            1,
            threads: 2);

    [TestMethod]
    public unsafe void AnImagesScoresAreTheSameBitsInEveryBatch()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = SmallModels.Random(WideNetConfig.Small);
        var plan = model.CreatePlan()!;
        var images_NCHW = randn(40, 1, 28, 28);
        using var one = new ThreadScope(1);
        var alone = Enumerable.Range(0, 40).SelectMany(i => Run(plan, model.Config, images_NCHW.narrow(0, i, 1)).Logits).ToArray();
        CollectionAssert.AreEqual(alone, Run(plan, model.Config, images_NCHW).Logits);
        using var two = new ThreadScope(2);
        CollectionAssert.AreEqual(alone, Run(plan, model.Config, images_NCHW).Logits);
    }

    [TestMethod]
    public void EightThreadsScoreSideBySide()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = SmallModels.Random(WideNetConfig.Tiny);
        var plan = model.CreatePlan()!;
        var config = model.Config;
        Tensor[] images = [.. Enumerable.Range(1, 8).Select(count => randn(count, 3, 8, 8))];
        var wanted = Array.ConvertAll(images, image => Run(plan, config, image).Logits);
        var found = new float[8][];
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            for (var turn = 0; turn < 50; turn++)
                found[i] = Run(plan, config, images[i]).Logits;
        });
        for (var i = 0; i < 8; i++)
            CollectionAssert.AreEqual(wanted[i], found[i]);
    }

    [TestMethod]
    public void NoTensorIsMade()
    {
        using var seed = new SeedScope(3, CPU);
        using var model = SmallModels.Random(WideNetConfig.Tiny);
        var plan = model.CreatePlan()!;
        var pixels = new float[3 * 8 * 8];
        var logits = new float[4];
        Score(plan, pixels, logits);
        var before = LiveTensors.Count();
        var bytes = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            Score(plan, pixels, logits);
        Assert.IsLessThan(100 * 2048, GC.GetAllocatedBytesForCurrentThread() - bytes, "a few closures a pass");
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    public void OfASmallModelInBFloat16_ItComputesInFloat32()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        // Without experts, in whose choice the types may differ.
        using var exact = SmallModels.Random(WideNetConfig.Thumbnail with { Experts = 0, FeedForwardWidth = 128 });
        using var half = exact.Config.Build(computeType: ScalarType.BFloat16);
        half.load_state_dict(exact.state_dict());
        half.eval();
        var images_NCHW = randn(4, 1, 28, 28);
        using var noGrad = no_grad();
        var (logits, _) = Run(half.CreatePlan()!, half.Config, images_NCHW);
        CollectionAssert.AreEqual(Run(exact.CreatePlan()!, exact.Config, images_NCHW).Logits, logits);
        TensorAssert.AreClose(half.forward(images_NCHW).Logits_NC, tensor(logits).view(4, -1), 0.05);
    }

    [TestMethod]
    public void LargeModelsInBFloat16AndOtherDevicesHaveNone()
    {
        var large = WideNetConfig.Tiny with { Width = 600, ExpertWidth = 1200 };
        using var half = large.Build(computeType: ScalarType.BFloat16);
        Assert.IsNull(half.CreatePlan());
        using var nowhere = WideNetConfig.Tiny.Build(META);
        Assert.IsNull(nowhere.CreatePlan());
    }

    [TestMethod]
    [DataRow("sparse-mlp-s16")]
    [DataRow("sparse-mlp-b16")]
    [DataRow("sparse-mlp-l16")]
    public void OfSparseMlp_ItIsAsNearToFloat64AsTheForwardPassIs(string name)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(4, CPU);
        using var model = SmallModels.Random(SmallModels.Shrunk(Config(name)));
        var images_NCHW = randn(99, 3, 8, 8);
        var weights = model.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter.to_type(float64));
        var (exact_NC, _) = SparseMlpTests.Plain(model.Config, weights, images_NCHW.to_type(float64));
        var forward = ErrorsOf(model.forward(images_NCHW).Logits_NC);
        var plan = ErrorsOf(tensor(Run(model.CreatePlan()!, model.Config, images_NCHW).Logits).view(99, -1));
        Assert.IsGreaterThan(1e-8, forward[49]);
        Assert.IsLessThan(1.5 * forward[49], plan[49], "half of the images");
        Assert.IsLessThan(1.5 * forward[89], plan[89], "nine tenths of them");

        // The largest of each image, in order.
        double[] ErrorsOf(Tensor logits_NC) =>
            [.. (logits_NC.to_type(float64) - exact_NC).abs().amax([1]).data<double>().ToArray().Order()];
    }

    private static unsafe void Score(ImageClassifierPlan plan, float[] pixels, float[] logits)
    {
        fixed (float* target = logits)
        {
            plan.Run(1, (_, _, images) => pixels.CopyTo(new Span<float>(images, pixels.Length)), target, null);
        }
    }

    private static void Compare(ImageClassifierConfig config, int count, int threads)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var scopeOfThreads = new ThreadScope(threads);
        using var model = SmallModels.Random(config);
        var plan = model.CreatePlan();
        Assert.IsNotNull(plan);
        var images_NCHW = randn(count, config.Channels, config.ImageHeight, config.ImageWidth);
        ImageClassifierOutput wanted;
        using (no_grad())
            wanted = model.forward(images_NCHW);
        var (logits, features) = Run(plan, config, images_NCHW);
        // Of another order of additions, in numbers of about this size. Sparse-MLP's sparse blocks have no skip around them, which makes it
        // larger: two of them a little, the six of L16 a hundredfold. There the forward pass is as far from float64 as the plan is
        // (OfSparseMlp_ItIsAsNearToFloat64AsTheForwardPassIs).
        var rounding = config is not SparseMlpConfig sparse ? 2e-5 : sparse.SparseBlocks.Count > 2 ? 1e-3 : 1e-4;
        TensorAssert.AreClose(wanted.Logits_NC, tensor(logits).view(count, -1), rounding * (1 + wanted.Logits_NC.abs().max().ReadDouble()));
        TensorAssert.AreClose(
            wanted.Features_ND, tensor(features).view(count, -1), rounding * (1 + wanted.Features_ND.abs().max().ReadDouble()));
        Assert.IsGreaterThan(0.01, wanted.Logits_NC.abs().max().ReadDouble());
    }

    private static unsafe (float[] Logits, float[] Features) Run(ImageClassifierPlan plan, ImageClassifierConfig config, Tensor images_NCHW)
    {
        var numbers = images_NCHW.contiguous().data<float>().ToArray();
        var count = (int)images_NCHW.shape[0];
        var size = numbers.Length / count;
        var (logits, features) = (new float[count * config.ClassCount], new float[count * config.FeatureWidth]);
        fixed (float* toLogits = logits, toFeatures = features)
        {
            plan.Run(
                count,
                (first, images, target) => numbers.AsSpan(first * size, images * size).CopyTo(new(target, images * size)),
                toLogits,
                toFeatures);
        }
        return (logits, features);
    }

    private static ImageClassifierConfig Config(string name) => ImageClassifierPresets.All.Single(preset => preset.Name == name).Config;
}
