// Axes: N = texts, L = tokens of the longest text, D = width.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Owns a text encoder and runs it, one pass at a time.</summary>
internal sealed class TextEncodingScorer : IDisposable
{
    private readonly Lock gate = new();
    private readonly Device device;
    private readonly int batchSize;
    private readonly bool normalize;
    private bool disposed;

    public TextEncodingScorer(TextEncoder model, WordPieceTokenizer tokenizer, Device device, (int BatchSize, bool Normalize) how)
    {
        (Model, Tokenizer, this.device, batchSize, normalize) = (model, tokenizer, device, how.BatchSize, how.Normalize);
        model.eval();

        // The caller may be inside a dispose scope of its own, which would take the weights with it.
        foreach (var tensor in model.parameters().Concat(model.buffers()))
            tensor.DetachFromDisposeScope();
    }

    /// <summary>The network.</summary>
    public TextEncoder Model { get; }

    /// <summary>What makes tokens of texts.</summary>
    public WordPieceTokenizer Tokenizer { get; }

    /// <summary>Encodes texts.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="cut">Receives how many were too long.</param>
    /// <returns>A vector of the model's width for each.</returns>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public float[][] Encode(IReadOnlyList<string> texts, out int cut)
    {
        var tokens = new int[texts.Count][];
        cut = 0;
        for (var i = 0; i < tokens.Length; i++)
        {
            tokens[i] = Tokenizer.Encode(texts[i], Model.Config.MaxTokens, out var isCut);
            cut += isCut ? 1 : 0;
        }

        // Texts of like length together: what is filled up is computed too.
        var order = Enumerable.Range(0, tokens.Length).OrderBy(i => tokens[i].Length).ToArray();
        var vectors = new float[tokens.Length][];
        foreach (var some in order.Chunk(batchSize))
        {
            lock (gate)
            {
                ObjectDisposedException.ThrowIf(disposed, typeof(TextEncodingTransformer));
                var encoded = Encode([.. some.Select(i => tokens[i])]);
                for (var i = 0; i < some.Length; i++)
                    vectors[some[i]] = encoded[i];
            }
        }
        return vectors;
    }

    /// <summary>Does something with the network while nobody else does.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public void Use(Action<TextEncoder> action)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, typeof(TextEncodingTransformer));
            action(Model);
        }
    }

    /// <summary>Frees the network.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
                return;
            disposed = true;
            Model.Dispose();
            TorchRuntime.ReleaseFreedMemory();
        }
    }

    private float[][] Encode(int[][] tokens)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var batch = TextBatch.Create([.. tokens.Select(one => new TextExample(one, one.Length, Label: -1))], device);
        var states_NLD = Model.forward(batch.Ids_NL, batch.IsToken_NL, batch.Segments_NL).States_NLD;
        var mean_ND = TextEncoder.Mean(states_NLD, batch.IsToken_NL);
        if (normalize)
            mean_ND = nn.functional.normalize(mean_ND, dim: 1);
        return [.. mean_ND.cpu().data<float>().ToArray().Chunk(Model.Config.Width)];
    }
}
