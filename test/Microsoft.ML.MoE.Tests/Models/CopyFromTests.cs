using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>Models that take over the weights of earlier ones.</summary>
[TestClass]
public sealed class CopyFromTests
{
    public static IEnumerable<string> Tiny =>
        ImageClassifierPresets.All.Where(preset => preset.Config.GetCost().Parameters < 20_000).Select(preset => preset.Name);

    [TestMethod]
    [DynamicData(nameof(Tiny))]
    public void TheSameClassesInAnotherOrder_GiveTheSameScoresInThatOrder(string name)
    {
        using var scope = NewDisposeScope();
        using var earlier = Build(Config(name), seed: 1);
        using var model = Build(earlier.Config, seed: 2);
        model.Config.RequireWeightsOf(earlier.Config);
        model.CopyFrom(earlier, [2, 0, 3, 1]);

        var images_NCHW = randn([5, 3, 8, 8], generator: new Generator(3));
        var (wanted_NC, found_NC) = (earlier.forward(images_NCHW).Logits_NC, model.forward(images_NCHW).Logits_NC);
        TensorAssert.AreClose(wanted_NC.index_select(1, tensor(new long[] { 2, 0, 3, 1 })), found_NC, 1e-6);
        Assert.IsGreaterThan(0, wanted_NC.std().item<float>());
        Assert.AreEqual(earlier.training, model.training);
    }

    [TestMethod]
    [DynamicData(nameof(Tiny))]
    public void OtherClasses_LeaveTheHeadAlone(string name)
    {
        using var scope = NewDisposeScope();
        using var earlier = Build(Config(name), seed: 1);
        using var model = Build(Config(name) with { ClassCount = 7 }, seed: 2);
        var before = Copy(model);
        model.Config.RequireWeightsOf(earlier.Config);
        model.CopyFrom(earlier, classes: null);

        var theirs = ModuleWeights.Collect(earlier);
        foreach (var (tensorName, mine) in ModuleWeights.Collect(model))
        {
            var expected = model.PartOf(tensorName) == ModelParts.Head ? before[tensorName] : theirs[tensorName];
            TensorAssert.AreClose(expected, mine, 0, tensorName);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Tiny))]
    public void EveryTensorBelongsToAPart_AndTheHeadHasTheClassesFirst(string name)
    {
        using var model = Build(Config(name) with { ClassCount = 9 }, seed: 1);
        var tensors = ModuleWeights.Collect(model).ToLookup(pair => model.PartOf(pair.Key));
        CollectionAssert.AreEquivalent(
            new[] { ModelParts.Embedding, ModelParts.Blocks, ModelParts.Head }, tensors.Select(part => part.Key).ToArray());
        CollectionAssert.AreEqual(
            new[] { "9,16", "9" }, tensors[ModelParts.Head].Select(pair => string.Join(',', pair.Value.shape)).ToArray());
        CollectionAssert.AreEqual(
            tensors[ModelParts.Head].Select(pair => pair.Key).ToArray(),
            ModuleWeights.Collect(model).Where(pair => pair.Value.shape[0] == 9).Select(pair => pair.Key).ToArray(),
            "nothing else depends on the classes");
        Assert.IsTrue(tensors[ModelParts.Embedding].All(pair => pair.Key.Split('.')[0] is "patches" or "positions" or "classToken"));
    }

    [TestMethod]
    [DataRow("widenet-tiny")]
    [DataRow("vit-tiny")]
    [DataRow("vit-moe-tiny")]
    public void ATransformer_InterpolatesItsPositions(string name)
    {
        using var scope = NewDisposeScope();
        using var earlier = Build(Config(name), seed: 1);
        using var model = Build(Config(name) with { ImageHeight = 12, ImageWidth = 20 }, seed: 2);
        model.Config.RequireWeightsOf(earlier.Config);
        model.CopyFrom(earlier, [0, 1, 2, 3]);

        var (theirs, mine) = (ModuleWeights.Collect(earlier), ModuleWeights.Collect(model));
        TensorAssert.AreClose(PositionGrid.Resize(theirs["positions"], (2, 2), (3, 5)), mine["positions"], 0);
        foreach (var tensorName in mine.Keys.Where(key => key != "positions"))
            TensorAssert.AreClose(theirs[tensorName], mine[tensorName], 0, tensorName);
    }

    [TestMethod]
    [DataRow("mixer-tiny")]
    [DataRow("sparse-mlp-tiny")]
    public void AMixer_TakesImagesOfOneSizeOnly(string name)
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() => (Config(name) with { ImageHeight = 12 }).RequireWeightsOf(Config(name)));
        StringAssert.Contains(error.Message, "ImageHeight is 12, but the model to start from has 8");
    }

    [TestMethod]
    public void WhatDiffers_IsNamedWithBothValues()
    {
        var config = WideNetConfig.Tiny;
        AssertRefused(config with { Width = 32 }, "Width is 32, but the model to start from has 16");
        AssertRefused(config with { Channels = 1 }, "Channels is 1, but the model to start from has 3");
        AssertRefused(config with { Blocks = 4 }, "Blocks is 4, but the model to start from has 3");
        AssertRefused(config with { RoutingGroups = 1 }, "RoutingGroups is 1, but the model to start from has null");
        AssertRefused(config with { ExpertsPerToken = 1 }, "ExpertsPerToken is 1, but the model to start from has 2");
        AssertRefused(config with { Representation = true }, "Representation is true, but the model to start from has false");
        AssertRefused(VisionTransformerConfig.Tiny, "The model to start from is a WideNet; a VisionTransformer cannot take over its weights");

        void AssertRefused(ImageClassifierConfig other, string message) =>
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => other.RequireWeightsOf(config)).Message, message);
    }

    [TestMethod]
    public void WhatActsInTrainingOnly_MayDiffer()
    {
        AssertCopied(
            WideNetConfig.Tiny,
            WideNetConfig.Tiny with
            {
                Dropout = 0.2,
                DropPath = 0.1,
                RouterNoise = 0,
                TrainingCapacity = null,
                BalanceLossWeight = 0.5,
                PositionDeviation = 0.1,
                PositionStart = PositionStart.SineCosine,
            }
        );
        AssertCopied(
            SparseMlpConfig.Tiny,
            SparseMlpConfig.Tiny with { DropPath = 0.1, RouterNoise = 0, BalanceLossWeight = 0.5, TrainingCapacity = new() }
        );
        AssertCopied(MlpMixerConfig.Tiny, MlpMixerConfig.Tiny with { DropPath = 0.1 });

        static void AssertCopied(ImageClassifierConfig from, ImageClassifierConfig to)
        {
            to.RequireWeightsOf(from);
            using var scope = NewDisposeScope();
            using var earlier = Build(from, seed: 1);
            using var model = Build(to, seed: 2);
            model.CopyFrom(earlier, [0, 1, 2, 3]);
            var (theirs, mine) = (ModuleWeights.Collect(earlier), ModuleWeights.Collect(model));
            CollectionAssert.AreEquivalent(theirs.Keys.ToArray(), mine.Keys.ToArray());
            foreach (var (name, value) in theirs)
                TensorAssert.AreClose(value, mine[name], 0, name);
        }
    }

    [TestMethod]
    public void Copying_LeavesNoTensorBehind()
    {
        using var earlier = Build(WideNetConfig.Tiny, seed: 1);
        using var model = Build(WideNetConfig.Tiny with { ImageHeight = 12 }, seed: 2);
        model.CopyFrom(earlier, [0, 1, 2, 3]);
        var before = LiveTensors.Count();
        model.CopyFrom(earlier, [0, 1, 2, 3]);
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    private static ImageClassifierConfig Config(string name) => ImageClassifierPresets.All.Single(preset => preset.Name == name).Config;

    // With random numbers everywhere: a fresh head is zero.
    private static ImageClassifier Build(ImageClassifierConfig config, int seed)
    {
        using var seedScope = new SeedScope(seed, CPU);
        using var noGrad = no_grad();
        var model = config.Build();
        foreach (var parameter in model.parameters())
            nn.init.normal_(parameter, 0, 0.3);
        model.eval();
        return model;
    }

    private static Dictionary<string, Tensor> Copy(ImageClassifier model) =>
        ModuleWeights.Collect(model).ToDictionary(pair => pair.Key, pair => pair.Value.detach().clone());
}
