using System.Text.Json.Nodes;
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

/// <summary>Text encoders come in under Hugging Face's names.</summary>
[TestClass]
public sealed class TextEncoderWeightsTests
{
    private static string Albert => Path.Combine(AppContext.BaseDirectory, "Interchange", "albert");

    [TestMethod]
    public void AlbertComputesWhatIsPublished()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var stream = File.OpenRead(Path.Combine(Albert, "expected.safetensors"));
        using var expected = SafeTensors.Read(stream, stream.Length);
        var weights = PretrainedWeights.FromFolder(Albert);
        Assert.AreEqual(GeluForm.Tanh, weights.TextEncoder!.Gelu);
        using var model = weights.BuildTextEncoder();
        var isToken_NL = expected.Tensors["attention_mask"].to(@bool);
        var output = model.forward(
            expected.Tensors["input_ids"].to(int64), isToken_NL, expected.Tensors["token_type_ids"].to(int64));
        Assert.IsTrue(isToken_NL.logical_not().any().ToBoolean(), "there is padding");
        var real_NL1 = isToken_NL.unsqueeze(-1).to(float32);
        TensorAssert.AreClose(expected.Tensors["last_hidden_state"] * real_NL1, output.States_NLD * real_NL1, 1e-5);
        TensorAssert.AreClose(expected.Tensors["pooler_output"], output.Pooled_ND!, 1e-5);
    }

    // Of BERT, by the equations, with names as a larger model has them, with a head that is not the encoder's.
    [TestMethod]
    public void BertIsReadFromALargerModel()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(1, CPU);
        using var folder = new TemporaryFolder();
        var config = TextEncoderConfig.Tiny with { EmbeddingWidth = 16 };
        using var model = config.Build();
        SmallModels.Randomise(model);
        model.eval();
        var tensors = new Dictionary<string, Tensor> { ["cls.predictions.bias"] = zeros(60), ["bert.embeddings.position_ids"] = arange(24) };
        foreach (var (name, tensor) in ModuleWeights.Collect(model))
        {
            var parts = NameTable.Translate(HuggingFaceNames.Bert, name).Names;
            foreach (var (part, value) in parts.Zip(tensor.chunk(parts.Count, 0)))
                tensors.Add($"bert.{part}", value.contiguous());
        }
        Write(folder, tensors);
        WriteConfig(folder);

        var weights = PretrainedWeights.FromFolder(folder.Path);
        Assert.AreEqual(config with { Dropout = 0.1 }, weights.TextEncoder! with { ExpertWidth = config.ExpertWidth });
        using var read = weights.BuildTextEncoder();
        var (ids_NL, isToken_NL) = (randint(60, [2, 7], int64), ones(2, 7).to(@bool));
        TensorAssert.AreClose(model.forward(ids_NL, isToken_NL, null).States_NLD, read.forward(ids_NL, isToken_NL, null).States_NLD, 0);
        Assert.ThrowsExactly<InvalidOperationException>(() => weights.BuildImageClassifier());

        AssertFails(folder, "num_attention_heads", null, "config.json does not say num_attention_heads");
        AssertFails(folder, "hidden_act", "relu", "hidden_act is 'relu'; it can be gelu, gelu_new or gelu_pytorch_tanh");
        AssertFails(folder, "position_embedding_type", "relative_key", "position_embedding_type is 'relative_key'; it must be 'absolute'");
        AssertFails(
            folder, "vocab_size", 61,
            "'embeddings.word_embeddings.weight' is (60, 16), where vocab_size and the width of embeddings say (61, 16)");
        AssertFails(folder, "vocab_size", 1L << 40, "vocab_size in config.json is 1099511627776, which is no number of 32 bits");
        AssertFails(folder, "num_hidden_layers", 2_000_000_000, "num_hidden_layers is 2000000000; it must be between 1 and 10000");
        AssertFails(folder, "is_decoder", true, "is_decoder is true");
        AssertFails(folder, "num_hidden_layers", 2, "'encoder.layer.2.attention.output.LayerNorm.bias' (16) is left over");
        AssertFails(folder, "num_attention_heads", 3, "Width is 16 and Heads is 3");
        AssertFails(folder, "hidden_size", "wide", "hidden_size in config.json is wide, which is no number of 32 bits");

        // The names of the first checkpoints.
        WriteConfig(folder);
        Write(
            folder,
            tensors.ToDictionary(
                pair => pair.Key.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal)
                    .Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal),
                pair => pair.Value));
        using var old = PretrainedWeights.FromFolder(folder.Path).BuildTextEncoder();
        TensorAssert.AreClose(model.forward(ids_NL, isToken_NL, null).States_NLD, old.forward(ids_NL, isToken_NL, null).States_NLD, 0);
    }

    private static void AssertFails(TemporaryFolder folder, string property, JsonNode? value, string message)
    {
        WriteConfig(folder, property, value);
        Assert.Contains(message, Assert.ThrowsExactly<InvalidDataException>(() => PretrainedWeights.FromFolder(folder.Path)).Message);
    }

    private static void WriteConfig(TemporaryFolder folder, string? property = null, JsonNode? value = null)
    {
        var config = new JsonObject
        {
            ["model_type"] = "bert",
            ["vocab_size"] = 60,
            ["hidden_size"] = 16,
            ["num_hidden_layers"] = 3,
            ["num_attention_heads"] = 2,
            ["intermediate_size"] = 32,
            ["hidden_act"] = "gelu",
            ["max_position_embeddings"] = 24,
            ["type_vocab_size"] = 2,
            ["layer_norm_eps"] = 1e-12,
        };
        if (property is not null && value is null)
            config.Remove(property);
        else if (property is not null)
            config[property] = value;
        File.WriteAllText(folder.Combine("config.json"), config.ToJsonString());
    }

    private static void Write(TemporaryFolder folder, Dictionary<string, Tensor> tensors)
    {
        using var file = File.Create(folder.Combine(SafeTensorsFolder.Whole));
        SafeTensors.Write(file, tensors);
    }
}
