using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

[TestClass]
public sealed class SparseMlpTests
{
    [TestMethod]
    [DataRow("sparse-mlp-tiny")]
    [DataRow("sparse-mlp-tiny-dense-channels")]
    [DataRow("sparse-mlp-tiny-dense-patches")]
    [DataRow("sparse-mlp-tiny-patches")]
    [DataRow("sparse-mlp-tiny-no-re-represent")]
    [DataRow("mixer-tiny")]
    public void ComputesThePapersEquations(string preset)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        using var model = ImageClassifierPresets.All.Single(candidate => candidate.Name == preset).Config.Build();
        Randomise(model);
        model.eval();
        var images_NCHW = randn(3, 3, 8, 8);

        var output = model.forward(images_NCHW);
        var (logits_NC, balance) = Plain(model, images_NCHW);
        TensorAssert.AreClose(logits_NC, output.Logits_NC, 1e-4);
        TensorAssert.AreClose(balance, output.AuxiliaryLoss, 1e-5);

        (output.Logits_NC.square().sum() + output.AuxiliaryLoss).backward();
        var gradients = model.parameters().Select(parameter => parameter.grad!.clone()).ToArray();
        model.zero_grad();
        (logits_NC.square().sum() + balance).backward();
        foreach (var ((name, parameter), gradient) in model.named_parameters().Zip(gradients))
            TensorAssert.AreClose(parameter.grad!, gradient, 1e-3, name);
    }

    [TestMethod]
    public void OneExpertWithoutNoiseIsTheDenseBlock()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        var config = SparseMlpConfig.Tiny with { SpatialExperts = 1, ChannelExperts = 1, ChannelExpertsPerItem = 1 };
        using var sparse = config.Build();
        Randomise(sparse);
        using var dense = (config with { SpatialExperts = 0, ChannelExperts = 0 }).Build();
        var from = sparse.named_parameters().ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter);
        using (no_grad())
        {
            foreach (var (name, parameter) in dense.named_parameters())
                parameter.copy_(from.TryGetValue(name, out var same) ? same : OfExpert(name));
        }

        var images_NCHW = randn(3, 3, 8, 8);
        // Noise on a single logit leaves its softmax at 1.
        var (expected, actual) = (dense.forward(images_NCHW), sparse.forward(images_NCHW));
        TensorAssert.AreClose(expected.Logits_NC, actual.Logits_NC);
        Assert.AreEqual(0, actual.AuxiliaryLoss.ToDouble());
        Assert.IsEmpty(expected.Routing);

        expected.Logits_NC.square().sum().backward();
        actual.Logits_NC.square().sum().backward();
        foreach (var (name, parameter) in dense.named_parameters())
            TensorAssert.AreClose(
                parameter.grad!, from.TryGetValue(name, out var same) ? same.grad! : OfExpert(name, gradient: true), 1e-4, name);

        // sparseBlocks.0.spatial.expand.weight (F, D) is sparseBlocks.0.spatialMixture.experts.weight1 (1, D, F).
        Tensor OfExpert(string name, bool gradient = false)
        {
            var expert = from[
                name.Replace("spatial.", "spatialMixture.experts.", StringComparison.Ordinal)
                    .Replace("channel.", "channelMixture.experts.", StringComparison.Ordinal)
                    .Replace("expand.weight", "weight1", StringComparison.Ordinal)
                    .Replace("expand.bias", "bias1", StringComparison.Ordinal)
                    .Replace("contract.weight", "weight2", StringComparison.Ordinal)
                    .Replace("contract.bias", "bias2", StringComparison.Ordinal)
            ];
            var one = (gradient ? expert.grad! : expert)[0];
            return one.dim() == 2 ? one.T : one;
        }
    }

    [TestMethod]
    public void ABlockMixesInTheRescaledSpaceAndReturnsToItsOwn()
    {
        using var scope = NewDisposeScope();
        using var enter = new ReRepresentation((4, 8), (16, 6), rescalesChannels: true, channelsFirst: false);
        using var leave = new ReRepresentation((8, 4), (6, 16), rescalesChannels: true, channelsFirst: true);
        var inner_NPD = enter.forward(randn(2, 4, 16));
        CollectionAssert.AreEqual(new long[] { 2, 8, 6 }, inner_NPD.shape);
        CollectionAssert.AreEqual(new long[] { 2, 4, 16 }, leave.forward(inner_NPD).shape);

        using var block = new SparseMlpBlock(BlockOptions with { InnerPatches = 8, InnerWidth = 6 });
        var output = block.forward(randn(2, 4, 16));
        CollectionAssert.AreEqual(new long[] { 2, 4, 16 }, output.Output_NSC.shape);
        CollectionAssert.AreEqual(
            new long[] { 2 * 6, 1 }, output.Routing[0].ExpertIds_TK.shape, "the spatial mixture routes the channels of each image");
        CollectionAssert.AreEqual(new long[] { 2 * 8, 2 }, output.Routing[1].ExpertIds_TK.shape, "the channel mixture routes its patches");
    }

    [TestMethod]
    public void SparseBlocksStandWhereTheConfigurationSays()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        var images_NCHW = randn(2, 3, 8, 8);
        var results = new List<Tensor>();
        foreach (var positions in new[] { BlockPositions.First(1), BlockPositions.Last(1), BlockPositions.At(0), BlockPositions.At(1) })
        {
            using var same = new SeedScope(4, CPU);
            using var model = (SparseMlpConfig.Tiny with { SparseBlocks = positions }).Build();
            using var random = new SeedScope(5, CPU);
            Randomise(model);
            model.eval();
            results.Add(model.forward(images_NCHW).Logits_NC);
        }
        TensorAssert.AreClose(results[0], results[2], 0);
        TensorAssert.AreClose(results[1], results[3], 0);

        using var none = (SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.None }).Build();
        Assert.IsEmpty(none.forward(images_NCHW).Routing);
        Assert.AreEqual(MlpMixerConfig.Tiny.GetCost(), none.Config.GetCost());
        using var all = (SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.First(2) }).Build();
        Assert.HasCount(4, all.forward(images_NCHW).Routing, "two mixtures a block");
    }

    [TestMethod]
    public void AuxiliaryLossIsHalfOfBothLossesSummedOverMixtures()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(6, CPU);
        using var model = (SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.First(2), BalanceLossWeight = 0.5 }).Build();
        Randomise(model);
        var output = model.forward(randn(4, 3, 8, 8));
        Assert.HasCount(4, output.Routing);
        Assert.IsTrue(output.Routing.All(record => record.BalanceLoss.ToDouble() > 0));
        Assert.AreEqual(0.5 * output.Routing.Sum(record => record.BalanceLoss.ToDouble()), output.AuxiliaryLoss.ToDouble(), 1e-5);
    }

    [TestMethod]
    public void NothingIsDroppedUnlessACapacityIsSet()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(7, CPU);
        var images_NCHW = randn(16, 3, 8, 8);
        foreach (var (capacity, drops) in new (ExpertCapacity?, bool)[] { (null, false), (ExpertCapacity.VMoe, true) })
        {
            using var model = (SparseMlpConfig.Tiny with { TrainingCapacity = capacity }).Build();
            Randomise(model);
            Assert.AreEqual(drops, model.forward(images_NCHW).Routing.Sum(record => record.DroppedCount.ToInt64()) > 0);
            model.eval();
            Assert.AreEqual(0, model.forward(images_NCHW).Routing.Sum(record => record.DroppedCount.ToInt64()));
        }
    }

    [TestMethod]
    public void EveryParameterBelongsToTheLayerOfItsBlock()
    {
        using var model = (SparseMlp)(SparseMlpConfig.Tiny with { Blocks = 4, SparseBlocks = BlockPositions.At(0, 2) }).Build();
        Assert.AreEqual(5, model.LastLayer);
        var layers = model
            .named_parameters()
            .GroupBy(pair =>
                string.Join(
                    '.', pair.name.Split('.').TakeWhile(part => part is "denseBlocks" or "sparseBlocks" || int.TryParse(part, out _))))
            .ToDictionary(group => group.Key, group => group.Select(pair => model.LayersOf(pair.name).Single()).Distinct().ToArray());
        CollectionAssert.AreEqual(new[] { 1 }, layers["sparseBlocks.0"]);
        CollectionAssert.AreEqual(new[] { 2 }, layers["denseBlocks.0"]);
        CollectionAssert.AreEqual(new[] { 3 }, layers["sparseBlocks.1"]);
        CollectionAssert.AreEqual(new[] { 4 }, layers["denseBlocks.1"]);
        CollectionAssert.AreEquivalent(new[] { 0, 5 }, layers[""], "the embedding, and the final norm and head");
    }

    [TestMethod]
    public void DropPathLeavesBranchesOutWhileTraining()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(8, CPU);
        var x_NSC = randn(64, 4, 16);
        using var dense = new MixerBlock(4, 16, 5, 7, dropPath: 0.5);
        Assert.AreEqual(0.25, Unchanged(dense.forward(x_NSC), x_NSC), 0.15, "both branches are left out");
        dense.eval();
        Assert.AreEqual(0, Unchanged(dense.forward(x_NSC), x_NSC));

        using var sparse = new SparseMlpBlock(
            BlockOptions with { ReRepresented = ReRepresentedAxes.None, InnerPatches = 4, InnerWidth = 16, DropPath = 0.5 });
        Assert.AreEqual(0.25, Unchanged(sparse.forward(x_NSC).Output_NSC, x_NSC), 0.15);
        Assert.Contains(
            "probability is 1", Assert.ThrowsExactly<ArgumentException>(() => new MixerBlock(4, 16, 5, 7, dropPath: 1)).Message);

        static double Unchanged(Tensor y_NSC, Tensor x_NSC) => (y_NSC - x_NSC).abs().amax([1, 2]).eq(0).to_type(float64).mean().ToDouble();
    }

    [TestMethod]
    public void DropPathRisesOverTheBlocks()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(9, CPU);
        using var model = (SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.None, DropPath = 0.9, Blocks = 3 }).Build();
        Randomise(model);
        var images_NCHW = randn(4, 3, 8, 8);
        Assert.IsGreaterThan(1e-4, (model.forward(images_NCHW).Logits_NC - model.forward(images_NCHW).Logits_NC).abs().max().ToDouble());
        CollectionAssert.AreEqual(
            new double[] { 0.45, 0.9 },
            model.named_modules().Where(pair => pair.module is DropPath).Select(pair => ProbabilityOf((DropPath)pair.module)).ToArray());

        static double ProbabilityOf(DropPath layer)
        {
            layer.train();
            var kept = layer.forward(ones(20_000, 1)).gt(0).to_type(float64).mean().ToDouble();
            return Math.Round((1 - kept) / 0.45) * 0.45;
        }
    }

    [TestMethod]
    public void InnerSizesThatNothingRescalesToAreRefused()
    {
        Assert.Contains("work on 4 patches of 16 channels, not on 8 of 16", Assert.ThrowsExactly<ArgumentException>(() =>
            new SparseMlpBlock(BlockOptions with { ReRepresented = ReRepresentedAxes.None, InnerPatches = 8, InnerWidth = 16 })).Message);
        Assert.Contains("change from 16 to 6", Assert.ThrowsExactly<ArgumentException>(() =>
            new SparseMlpBlock(BlockOptions with { ReRepresented = ReRepresentedAxes.Patches, InnerPatches = 8, InnerWidth = 6 })).Message);
    }

    private static SparseMlpBlockOptions BlockOptions { get; } = new()
    {
        Patches = 4,
        Width = 16,
        InnerPatches = 8,
        InnerWidth = 8,
        SpatialWidth = 5,
        ChannelWidth = 7,
        SpatialRouter = new TopKRouterOptions { Experts = 4, ExpertsPerToken = 1 },
        ChannelRouter = new TopKRouterOptions { Experts = 3, ExpertsPerToken = 2 },
    };

    // The model in evaluation as the papers write it, on the parameters by name: whatever layers are there are applied, each token to each
    // expert, weighted by its gate or by 0.
    private static (Tensor Logits_NC, Tensor Balance) Plain(ImageClassifier model, Tensor images_NCHW) => Plain(
        model.Config, model.named_parameters().ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter), images_NCHW);

    /// <summary>The papers' equations on images in patches of 4, in the type that weights <paramref name="p"/> and images have.</summary>
    internal static (Tensor Logits_NC, Tensor Balance) Plain(
        ImageClassifierConfig shape, IReadOnlyDictionary<string, Tensor> p, Tensor images_NCHW)
    {
        var balance = zeros([]);
        var x_NSC =
            images_NCHW.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(images_NCHW.shape[0], -1, 48)
                .matmul(p["patches.projection.weight"].T)
            + p["patches.projection.bias"];
        var dense = shape is SparseMlpConfig ? "denseBlocks." : "blocks.";
        for (var i = 0; p.ContainsKey($"{dense}{i}.spatialNorm.weight"); i++)
            x_NSC = Mix(x_NSC, $"{dense}{i}", default);

        if (shape is SparseMlpConfig config)
        {
            for (var i = 0; p.ContainsKey($"sparseBlocks.{i}.spatialNorm.weight"); i++)
            {
                var block = $"sparseBlocks.{i}";
                x_NSC = Mix(
                    RescaleChannels(RescalePatches(x_NSC, $"{block}.enter"), $"{block}.enter"),
                    block,
                    (config.SpatialExpertsPerItem, config.ChannelExpertsPerItem));
                x_NSC = RescalePatches(RescaleChannels(x_NSC, $"{block}.leave"), $"{block}.leave");
            }
            balance = config.BalanceLossWeight * balance;
        }
        return (Norm(x_NSC, "finalNorm").mean([1]).matmul(p["classes.weight"].T) + p["classes.bias"], balance);

        Tensor Mix(Tensor x, string name, (int Spatial, int Channel) choices)
        {
            x = x + Network(Norm(x, $"{name}.spatialNorm").transpose(1, 2), $"{name}.spatial", choices.Spatial).transpose(1, 2);
            return x + Network(Norm(x, $"{name}.channelNorm"), $"{name}.channel", choices.Channel);
        }

        Tensor Network(Tensor x, string name, int choices)
        {
            if (p.ContainsKey($"{name}.expand.weight"))
                return Linear(nn.functional.gelu(Linear(x, $"{name}.expand")), $"{name}.contract");

            var probs = x.matmul(p[$"{name}Mixture.router.weight"].T).softmax(-1);
            var experts = (int)probs.shape[2];
            var importance = probs.sum([0, 1]);
            balance = balance + (0.5 * ((importance.std(unbiased: false) / importance.mean()).square()));
            var threshold = probs.topk(choices, dim: 2).values.narrow(2, choices - 1, 1);
            var gates = probs * probs.ge(threshold);
            return Enumerable
                .Range(0, experts)
                .Select(e =>
                {
                    Tensor Of(string tensor) => p[$"{name}Mixture.experts.{tensor}"][e];
                    return gates.narrow(2, e, 1)
                        * (nn.functional.gelu(x.matmul(Of("weight1")) + Of("bias1")).matmul(Of("weight2")) + Of("bias2"));
                })
                .Aggregate((a, b) => a + b);
        }

        Tensor RescalePatches(Tensor x, string name) => p.ContainsKey($"{name}.patchNorm.weight")
            ? nn.functional.gelu(Linear(Norm(x, $"{name}.patchNorm").transpose(1, 2), $"{name}.patchProjection")).transpose(1, 2)
            : x;

        Tensor RescaleChannels(Tensor x, string name) => p.ContainsKey($"{name}.channelNorm.weight")
            ? nn.functional.gelu(Linear(Norm(x, $"{name}.channelNorm"), $"{name}.channelProjection"))
            : x;

        Tensor Norm(Tensor x, string name) => nn.functional.layer_norm(x, [x.shape[2]], p[$"{name}.weight"], p[$"{name}.bias"], 1e-6);

        Tensor Linear(Tensor x, string name) => x.matmul(p[$"{name}.weight"].T) + p[$"{name}.bias"];
    }

    private static void Randomise(nn.Module model)
    {
        using var noGrad = no_grad();
        foreach (var parameter in model.parameters())
            parameter.add_(randn_like(parameter) * 0.1);
    }
}
