using System.Text.Json;
using Microsoft.ML.MoE.Interchange;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Models;
using Microsoft.ML.MoE.Tests.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Interchange;

/// <summary>Checkpoints of timm come in, and go out again.</summary>
[TestClass]
public sealed class PretrainedWeightsTests
{
    private static readonly VisionTransformerConfig SmallTransformer = VisionTransformerConfig.Tiny with { ClassCount = 3, PositionDeviation = 0.02 };

    private static string Golden(string name) => Path.Combine(AppContext.BaseDirectory, "Interchange", "timm", name);

    [TestMethod]
    [DataRow("vit-token")]
    [DataRow("vit-avg")]
    [DataRow("mixer")]
    public void ANetworkComputesWhatTimmDoes(string name)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var expected = ReadExpected(name);
        var weights = PretrainedWeights.FromFolder(Golden(name));
        Assert.IsTrue(weights.HasHead);
        using var model = weights.BuildImageClassifier();
        var output = model.forward(expected.Tensors["input"]);
        TensorAssert.AreClose(expected.Tensors["logits"], output.Logits_NC, 1e-5);
        var features_NLD = expected.Tensors["features"];
        var pooled_ND = name == "vit-token" ? features_NLD.select(1, 0) : features_NLD.mean([1]);
        if (name != "vit-avg")   // whose features are those before the norm
            TensorAssert.AreClose(pooled_ND, output.Features_ND, 1e-5);
        if (model.CreatePlan() is { } plan)
            TensorAssert.AreClose(expected.Tensors["logits"], plan.Score(expected.Tensors["input"]), 1e-5);
    }

    [TestMethod]
    public void TheConfigurationIsThatOfTheTensors()
    {
        var config = (VisionTransformerConfig)PretrainedWeights.FromFolder(Golden("vit-token")).ImageClassifier!;
        Assert.AreEqual(
            new VisionTransformerConfig
            {
                ImageHeight = 16,
                ImageWidth = 16,
                PatchSize = 4,
                ClassCount = 5,
                Width = 32,
                Heads = 2,
                Blocks = 3,
                FeedForwardWidth = 128,
                ClassToken = ClassToken.Learned,
                Pooling = Pooling.ClassToken,
                Experts = 0,
                Dropout = 0,
            },
            config);
        Assert.IsTrue(((VisionTransformerConfig)PretrainedWeights.FromFolder(Golden("vit-avg")).ImageClassifier!).NormAfterPooling);
    }

    // Downloads have no model_args: sizes are those of the tensors, heads those of timm's size of that name.
    [TestMethod]
    public void WithoutArguments_TheNameTellsTheHeads()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var config = SmallTransformer with { Width = 48, Heads = 3 };
        using var model = SmallModels.Random(config);
        PretrainedWeights.Save(model, folder.Path);
        WriteConfig(
            folder,
            """
            {"architecture": "vit_tiny_patch4_8", "num_classes": 3, "pretrained_cfg":
            {"input_size": [3, 8, 8], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}}
            """);
        var weights = PretrainedWeights.FromFolder(folder.Path);
        Assert.AreEqual(config, weights.ImageClassifier);
        CollectionAssert.AreEqual(new[] { 0.5f, 0.4f, 0.3f }, weights.Pixels!.Value.Mean);
        CollectionAssert.AreEqual(new[] { 0.2f, 0.25f, 0.3f }, weights.Pixels!.Value.Deviation);

        WriteConfig(folder, """{"architecture": "vit_unheard_of", "num_classes": 3}""");
        AssertFails(folder.Path, "does not say how many attention heads 'vit_unheard_of' has");
    }

    [TestMethod]
    [DataRow("vit")]
    [DataRow("vit-avg")]
    [DataRow("vit-avg-norm")]
    [DataRow("mixer")]
    public void WhatIsWrittenIsReadAgain(string name)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(1, CPU);
        using var folder = new TemporaryFolder();
        var averaging = SmallTransformer with { ClassToken = ClassToken.None, Pooling = Pooling.Mean };
        ImageClassifierConfig config = name switch
        {
            "vit" => SmallTransformer,
            "vit-avg" => averaging,
            "vit-avg-norm" => averaging with { NormAfterPooling = true },
            _ => MlpMixerConfig.Tiny,
        };
        using var model = SmallModels.Random(config);
        PretrainedWeights.Save(model, folder.Combine("new", "folder"));
        var weights = PretrainedWeights.FromFolder(folder.Combine("new", "folder"));
        Assert.AreEqual(config, weights.ImageClassifier);
        using var again = weights.BuildImageClassifier();
        var images_NCHW = randn(2, 3, 8, 8);
        TensorAssert.AreClose(model.forward(images_NCHW).Logits_NC, again.forward(images_NCHW).Logits_NC, 0);
        Assert.HasCount(2, folder.Files(), "no file is left over");
    }

    [TestMethod]
    public void PartsInHalfPrecisionAreRead()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var stream = File.OpenRead(Path.Combine(Golden("vit-token"), SafeTensorsFolder.Whole));
        using var whole = SafeTensors.Read(stream, stream.Length);
        string[] names = [.. whole.Tensors.Keys.Order(StringComparer.Ordinal)];
        var types = new[] { float16, bfloat16, float32 };
        var index = new Dictionary<string, string>();
        for (var part = 0; part < types.Length; part++)
        {
            var some = names.Where((_, i) => i % types.Length == part).ToDictionary(name => name, name => whole.Tensors[name].to(types[part]));
            using (var file = File.Create(folder.Combine($"model-{part}.safetensors")))
                SafeTensors.Write(file, some);
            foreach (var name in some.Keys)
                index.Add(name, $"model-{part}.safetensors");
        }
        WriteIndex(folder, index);
        File.Copy(Path.Combine(Golden("vit-token"), "config.json"), folder.Combine("config.json"));

        using var model = PretrainedWeights.FromFolder(folder.Path).BuildImageClassifier();
        var read = ModuleWeights.Collect(model);
        TensorAssert.AreClose(whole.Tensors["head.weight"], read["classes.weight"], 0.01);
        var i = Array.IndexOf(names, "head.weight") % types.Length;
        TensorAssert.AreClose(whole.Tensors["head.weight"].to(types[i]).to(float32), read["classes.weight"], 0);

        File.Delete(folder.Combine("model-1.safetensors"));
        AssertFails(folder.Path, "names the file 'model-1.safetensors', which is not there");
        WriteIndex(folder, new() { ["head.weight"] = "../model.safetensors" });
        AssertFails(folder.Path, "names the file '../model.safetensors'; it must lie in the same folder");
        WriteIndex(folder, new() { ["head.weight"] = "model-0.safetensors" });
        AssertFails(folder.Path, "is in 'model-0.safetensors', where");
        WriteIndex(folder, new(index.Where(pair => pair.Value == "model-0.safetensors")) { ["more"] = "model-0.safetensors" });
        AssertFails(folder.Path, "says that tensor 'more' is in 'model-0.safetensors', which does not have it");
        File.WriteAllText(folder.Combine(SafeTensorsFolder.Index), "[]");
        AssertFails(folder.Path, "is no index of safetensors files");
    }

    // timm's hidden width is the product of width and mlp_ratio, cut off: 112 · (976 / 112) is 975.99….
    [TestMethod]
    public void HiddenWidthsSurviveAsRatios()
    {
        Assert.IsLessThan(976, (int)(112 * (976.0 / 112)), "the quotient alone loses a neuron");
        for (var width = 1; width <= 320; width++)
        {
            for (var hidden = 1; hidden <= 1300; hidden += 7)
                Assert.AreEqual(hidden, (int)(width * TimmExport.Ratio(hidden, width)), $"{hidden} of {width}");
        }
        Assert.AreEqual(976, (int)(112 * TimmExport.Ratio(976, 112)));
    }

    [TestMethod]
    public void ImagesMayHaveAnotherSize()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var weights = PretrainedWeights.FromFolder(Golden("vit-token"));
        using var model = (weights.ImageClassifier! with { ImageHeight = 24, ImageWidth = 32, ClassCount = 2 }).Build();
        weights.CopyTo(model, withHead: false);
        using var stream = File.OpenRead(Path.Combine(Golden("vit-token"), SafeTensorsFolder.Whole));
        using var theirs = SafeTensors.Read(stream, stream.Length);
        var mine = ModuleWeights.Collect(model);
        TensorAssert.AreClose(PositionGrid.Resize(theirs.Tensors["pos_embed"], (4, 4), (6, 8)), mine["positions"], 0);
        TensorAssert.AreClose(theirs.Tensors["blocks.1.attn.qkv.weight"], mine["attentions.1.queryKeyValue.weight"], 0);
        TensorAssert.AreClose(zeros(2, 32), mine["classes.weight"], 0);
    }

    [TestMethod]
    public void WhatDoesNotFitIsListed()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = SmallModels.Random(SmallTransformer);
        PretrainedWeights.Save(model, folder.Path);
        var tensors = Read(folder);
        tensors.Remove("blocks.2.mlp.fc2.bias");
        tensors["blocks.1.norm1.weight"] = zeros(17);
        tensors["blocks.0.ls1.gamma"] = zeros(16);
        Write(folder, tensors);
        var message = AssertFails(folder.Path, "The checkpoint does not fit:");
        Assert.Contains("'blocks.2.mlp.fc2.bias' is missing, which is our 'feedForwards.2.contract.bias' (16)", message);
        Assert.Contains("'blocks.1.norm1.weight' is (17), our 'attentionNorms.1.weight' (16)", message);
        Assert.Contains("'blocks.0.ls1.gamma' (16) is left over", message);
    }

    [TestMethod]
    public void WithoutAHead_ItIsNew()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = SmallModels.Random(SmallTransformer);
        PretrainedWeights.Save(model, folder.Path);
        var tensors = Read(folder);
        tensors.Remove("head.weight");
        tensors.Remove("head.bias");
        Write(folder, tensors);
        var weights = PretrainedWeights.FromFolder(folder.Path);
        Assert.IsFalse(weights.HasHead);
        using var headless = weights.BuildImageClassifier();
        Assert.AreEqual(2, headless.Config.ClassCount);
        TensorAssert.AreClose(
            ModuleWeights.Collect(model)["finalNorm.weight"], ModuleWeights.Collect(headless)["finalNorm.weight"], 0);
    }

    [TestMethod]
    public void AFolderThatIsNoCheckpointIsRefused()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        AssertFails(folder.Combine("nothing"), "There is no folder");
        AssertFails(folder.Path, "has no config.json");
        WriteConfig(folder, """{"architecture": "vit_tiny_patch4_16"}""");
        AssertFails(folder.Path, "has neither model.safetensors nor model.safetensors.index.json");
        File.WriteAllBytes(folder.Combine(SafeTensorsFolder.Whole), [1, 2, 3]);
        AssertFails(folder.Path, "model.safetensors': A safetensors file has at least 8 bytes");
        Write(folder, new() { ["a"] = zeros(2) });
        AssertFails(folder.Path, "Tensor 'patch_embed.proj.weight' is missing");
        WriteConfig(folder, """{"architecture": "resnet18"}""");
        AssertFails(folder.Path, "is of architecture 'resnet18', which is not known; known are Vision Transformers (vit_…) and MLP-Mixers");
        WriteConfig(folder, """{"model_type": "gpt2"}""");
        AssertFails(folder.Path, "is of model_type 'gpt2'");
        foreach (var config in new[] { "{", "[]", "{}", "7", """{"architecture": 7}""", """{"architecture": "vit_x", "model_args": 3}""" })
        {
            WriteConfig(folder, config);
            Assert.ThrowsExactly<InvalidDataException>(() => PretrainedWeights.FromFolder(folder.Path), config);
        }
    }

    // Networks of timm that were made for one channel keep the means of three colours.
    [TestMethod]
    [DataRow("[0.5]", "[0.5, 0.5, 0.5]", "1 numbers in mean and 3 in std, but its images have 3 channels")]
    [DataRow("[0, 0, 0]", "[0.5, 0.5]", "3 numbers in mean and 2 in std, but its images have 3 channels")]
    [DataRow("[0, 0, 0]", "[0.5, 0, 0.5]", "has the std 0 in channel 1; it must be a finite number above 0")]
    [DataRow("[0, 0, 0]", "[0.5, 0.5, -1]", "has the std -1 in channel 2; it must be a finite number above 0")]
    [DataRow("[0, 0, 0]", "[1e60, 1, 1]", "has the std Infinity in channel 0; it must be a finite number above 0")]
    [DataRow("[0, -1e60, 0]", "[1, 1, 1]", "has the mean -Infinity in channel 1; it must be a finite number")]
    [DataRow("[0, \"0.5\", 0]", "[1, 1, 1]", "cannot be read")]
    public void ImpossiblePixelsAreRefused(string mean, string deviation, string message)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = SmallModels.Random(SmallTransformer);
        PretrainedWeights.Save(model, folder.Path);
        WriteConfig(
            folder,
            $$$"""
            {"architecture": "vit_x", "model_args": {"num_heads": 2, "img_size": 8},
            "pretrained_cfg": {"mean": {{{mean}}}, "std": {{{deviation}}}}}
            """);
        AssertFails(folder.Path, message);
    }

    // A byte that changes, a file that ends: an error that names the file, never another kind.
    [TestMethod]
    public void DamagedFilesAreRefusedOrRead()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = SmallModels.Random(SmallTransformer with { Blocks = 1 });
        PretrainedWeights.Save(model, folder.Path);
        var path = folder.Combine(SafeTensorsFolder.Whole);
        var whole = File.ReadAllBytes(path);
        var random = new Random(5);
        var refused = 0;
        for (var trial = 0; trial < 300; trial++)
        {
            var bytes = whole[..(trial % 3 == 0 ? random.Next(whole.Length) : whole.Length)];
            for (var change = 0; change < 3 && trial % 3 != 0; change++)
                bytes[random.Next(trial % 3 == 1 ? 8 : 1200)] = (byte)random.Next(256);
            File.WriteAllBytes(path, bytes);
            try
            {
                PretrainedWeights.FromFolder(folder.Path).BuildImageClassifier().Dispose();
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        }
        Assert.IsGreaterThan(200, refused);
    }

    [TestMethod]
    public void NetworksThatTimmLacksAreNotWritten()
    {
        using var folder = new TemporaryFolder();
        (ImageClassifierConfig Config, string Reason)[] cases =
        [
            (WideNetConfig.Tiny, "it is a WideNet"),
            (VisionTransformerConfig.MoeTiny, "MixtureBlocks is 1"),
            (SmallTransformer with { Representation = true }, "Representation is set"),
            (SmallTransformer with { Pooling = Pooling.Mean }, "Pooling is Mean and ClassToken Learned"),
            (SmallTransformer with { ImageHeight = 12 }, "the images are 8×12, not square"),
            (VisionTransformerConfig.Thumbnail, "Stem is set"),
            (MlpMixerConfig.Tiny with { Pooling = Pooling.Attention }, "Pooling is Attention"),
        ];
        foreach (var (config, reason) in cases)
        {
            using var model = config.Build();
            var error = Assert.ThrowsExactly<ArgumentException>(() => PretrainedWeights.Save(model, folder.Path));
            Assert.Contains(reason, error.Message);
            Assert.IsEmpty(folder.Files());
        }
    }

    private static SafeTensorsContents ReadExpected(string name)
    {
        using var stream = File.OpenRead(Path.Combine(Golden(name), "expected.safetensors"));
        return SafeTensors.Read(stream, stream.Length);
    }

    private static Dictionary<string, Tensor> Read(TemporaryFolder folder)
    {
        using var stream = File.OpenRead(folder.Combine(SafeTensorsFolder.Whole));
        return SafeTensors.Read(stream, stream.Length).Tensors.ToDictionary();
    }

    private static void Write(TemporaryFolder folder, Dictionary<string, Tensor> tensors)
    {
        using var file = File.Create(folder.Combine(SafeTensorsFolder.Whole));
        SafeTensors.Write(file, tensors);
    }

    private static void WriteIndex(TemporaryFolder folder, Dictionary<string, string> files) =>
        File.WriteAllText(
            folder.Combine(SafeTensorsFolder.Index), JsonSerializer.Serialize(new { metadata = new { }, weight_map = files }));

    private static void WriteConfig(TemporaryFolder folder, string json) => File.WriteAllText(folder.Combine("config.json"), json);

    private static string AssertFails(string folder, string message)
    {
        var error = Assert.ThrowsExactly<InvalidDataException>(() => PretrainedWeights.FromFolder(folder));
        Assert.Contains(message, error.Message);
        return error.Message;
    }
}
