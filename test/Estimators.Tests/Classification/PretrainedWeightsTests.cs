using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Interchange;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Classification;

/// <summary>Training that starts from a network that another library trained.</summary>
[TestClass]
public sealed class PretrainedWeightsTests
{
    private static readonly MLContext Ml = new(seed: 1);
    private static readonly VisionTransformerConfig Published = VisionTransformerConfig.Tiny with { ClassCount = 7 };
    private static string folder = null!;

    // As a download has it: what it was trained on, and no sizes.
    [ClassInitialize]
    public static void Publish(TestContext _)
    {
        folder = Directory.CreateTempSubdirectory("moe-ml-test-").FullName;
        using var seed = new SeedScope(3, torch.CPU);
        using var model = Published.Build();
        PretrainedWeights.Save(model, folder);
        File.WriteAllText(
            Path.Combine(folder, "config.json"),
            """
            {"architecture": "vit_custom_patch4_8", "global_pool": "token", "model_args": {"num_heads": 2},
            "pretrained_cfg": {"input_size": [3, 8, 8], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}}
            """);
    }

    [ClassCleanup]
    public static void Remove() => Directory.Delete(folder, recursive: true);

    [TestMethod]
    public void FitStartsFromThem_WithAHeadOfItsOwn()
    {
        var data = Colours.WithKeys(Ml, Colours.Rows(120));
        var options = Options();
        (options.Frozen, options.Epochs) = (ModelParts.Backbone, 2);
        using var model = Trainer(options).Fit(data);
        using var published = PretrainedWeights.FromFolder(folder).BuildImageClassifier();
        var theirs = ModuleWeights.Collect(published);
        foreach (var (name, mine) in ModuleWeights.Collect(model.Model))
        {
            if (name.StartsWith("classes.", StringComparison.Ordinal))
                Assert.AreEqual(4, mine.shape[0]);
            else
                CollectionAssert.AreEqual(theirs[name].data<float>().ToArray(), mine.data<float>().ToArray(), name);
        }
        Assert.AreEqual(Published.FeedForwardWidth, ((VisionTransformerConfig)model.Model.Config).FeedForwardWidth, "the architecture is theirs");
        Assert.Contains("1e-4", string.Join(' ', model.Training!.Chosen.Select(choice => $"{choice}")).Replace("0.0001", "1e-4", StringComparison.Ordinal));
    }

    [TestMethod]
    public void APipelineLearnsFromThem_AndItsZipScoresAlike()
    {
        var data = Colours.WithKeys(Ml, Colours.Rows(200));
        var options = Options();
        (options.Epochs, options.LearningRate) = (4, 3e-3);
        using var model = Trainer(options).Fit(data);
        Assert.IsGreaterThan(0.8, Ml.MulticlassClassification.Evaluate(model.Transform(data)).MicroAccuracy);

        using var file = new MemoryStream();
        Ml.Model.Save(model, data.Schema, file);
        file.Position = 0;
        var loaded = Ml.Model.Load(file, out _);
        CollectionAssert.AreEqual(Scores(model), Scores(loaded));

        float[] Scores(ITransformer transformer) =>
            [.. transformer.Transform(data).GetColumn<float[]>("Score").SelectMany(scores => scores)];
    }

    [TestMethod]
    public void ASparseNetworkGrowsOutOfThem()
    {
        var data = Colours.WithKeys(Ml, Colours.Rows(120));
        var options = Options();
        options.Architecture = Published with
        {
            Experts = 4,
            ExpertWidth = Published.FeedForwardWidth,
            MixtureBlocks = 1,
            RenormalizeGates = true,
        };
        (options.Frozen, options.Epochs) = (ModelParts.Blocks, 1);
        using var model = Trainer(options).Fit(data);
        using var published = PretrainedWeights.FromFolder(folder).BuildImageClassifier();
        var dense = ModuleWeights.Collect(published)["feedForwards.2.contract.weight"];
        var experts = ModuleWeights.Collect(model.Model)["mixtures.0.experts.weight2"];
        for (var expert = 0; expert < 4; expert++)
            CollectionAssert.AreEqual(dense.T.contiguous().data<float>().ToArray(), experts[expert].contiguous().data<float>().ToArray());
    }

    // Bytes from 0 to 255 in a column of numbers.
    [TestMethod]
    public void PixelsAreNormalisedAsTheNetworkWants()
    {
        var options = Options();
        options.MaxSteps = 1;
        using var model = Trainer(options).Fit(Colours.WithKeys(Ml, Colours.Rows(120)));
        var normalization = model.Scorer.Normalization;
        float[] mean = [0.5f, 0.4f, 0.3f], deviation = [0.2f, 0.25f, 0.3f];
        for (var channel = 0; channel < 3; channel++)
        {
            Assert.AreEqual(mean[channel] * 255, normalization.Mean[channel], 1e-3);
            Assert.AreEqual(deviation[channel] * 255, normalization.StandardDeviation[channel], 1e-3);
        }
    }

    [TestMethod]
    public void WhatDoesNotAgreeIsRefused()
    {
        AssertRefused("Width is 32, but the model to start from has 16", o => o.Architecture = Published with { Width = 32 });
        AssertRefused("ExpertNoise is 0.1, but no expert grows out of a dense layer", o => o.ExpertNoise = 0.1);
        AssertRefused("PatchSize is 2, but the model to start from has 4", o => o.PatchSize = 2);
        using var other = Trainer(Options()).Fit(Colours.WithKeys(Ml, Colours.Rows(40)));
        AssertRefused(
            "InitialModel and PretrainedWeights are both set; a training starts from one of them", o => o.InitialModel = other);
        AssertRefused(
            "neither InitialModel nor PretrainedWeights is set",
            o => (o.PretrainedWeights, o.Frozen) = (null, ModelParts.Embedding));

        var wide = Colours.Options();
        (wide.PretrainedWeights, wide.Architecture) = (PretrainedWeights.FromFolder(folder), null);
        var error = Assert.ThrowsExactly<ArgumentException>(() => Colours.Trainer(Ml, wide).Fit(Colours.WithKeys(Ml, Colours.Rows(40))));
        Assert.Contains("The model to start from is a VisionTransformer; a WideNet cannot take over its weights", error.Message);
    }

    private static void AssertRefused(string message, Action<VisionTransformerImageClassifier.Options> change)
    {
        var options = Options();
        change(options);
        var error = Assert.ThrowsExactly<ArgumentException>(() => Trainer(options).Fit(Colours.WithKeys(Ml, Colours.Rows(40))));
        Assert.Contains(message, error.Message);
    }

    private static VisionTransformerImageClassifier.Options Options()
    {
        var options = Colours.VisionTransformerOptions();
        (options.Architecture, options.PatchSize, options.PretrainedWeights, options.LearningRate) = (
            null, null, PretrainedWeights.FromFolder(folder), null);
        return options;
    }

    private static VisionTransformerImageClassifier Trainer(VisionTransformerImageClassifier.Options options) =>
        Ml.MulticlassClassification.Trainers.VisionTransformerImageClassifier(options);
}
