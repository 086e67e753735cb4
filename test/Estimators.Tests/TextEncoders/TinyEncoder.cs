using Microsoft.ML.MoE.Interchange;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Estimators.Tests.TextEncoders;

/// <summary>A folder with a tiny BERT, as a download from Hugging Face is one.</summary>
internal sealed class TinyEncoder : IDisposable
{
    private static readonly string[] Pieces =
    [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sat", "on", "mat", "##s", "good", "bad", "very", ".", "cafe",
    ];

    public TinyEncoder(int vocabulary = 17, int maxTokens = 12)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(1, CPU);
        using var model = (TextEncoderConfig.Tiny with { VocabularySize = vocabulary, MaxTokens = maxTokens, EmbeddingWidth = 16 }).Build();
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in ModuleWeights.Collect(model))
        {
            tensor.add_(randn_like(tensor) * 0.3);
            var parts = NameTable.Translate(HuggingFaceNames.Bert, name).Names;
            foreach (var (part, value) in parts.Zip(tensor.chunk(parts.Count, 0)))
                tensors.Add(part, value.contiguous());
        }
        using (var file = File.Create(Path.Combine(Folder, "model.safetensors")))
            SafeTensors.Write(file, tensors);
        File.WriteAllText(
            Path.Combine(Folder, "config.json"),
            $$"""
            {"model_type": "bert", "vocab_size": {{vocabulary}}, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
            "intermediate_size": 32, "hidden_act": "gelu", "max_position_embeddings": {{maxTokens}}, "type_vocab_size": 2}
            """);
        File.WriteAllText(Path.Combine(Folder, "vocab.txt"), string.Join('\n', Pieces) + "\n");
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("moe-ml-test-").FullName;

    public PretrainedWeights Weights => PretrainedWeights.FromFolder(Folder);

    /// <summary>The tokens of words, by their places in the file.</summary>
    public static long[] Tokens(params string[] pieces) => [.. pieces.Select(piece => (long)Array.IndexOf(Pieces, piece))];

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
