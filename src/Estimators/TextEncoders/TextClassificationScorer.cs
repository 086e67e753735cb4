// Axes: N = texts, C = classes, D = width.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Runtime;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Owns a classifier of texts and runs it, one pass at a time.</summary>
internal sealed class TextClassificationScorer : IDisposable
{
    private readonly Lock gate = new();
    private readonly Device device;
    private bool disposed;

    public TextClassificationScorer(TextClassifier model, WordPieceTokenizer tokenizer, Device device)
    {
        (Model, Tokenizer, this.device) = (model, tokenizer, device);
        model.eval();

        // The caller may be inside a dispose scope of its own, which would take the weights with it.
        foreach (var tensor in model.parameters().Concat(model.buffers()))
            tensor.DetachFromDisposeScope();
    }

    /// <summary>The network.</summary>
    public TextClassifier Model { get; }

    /// <summary>What makes tokens of texts.</summary>
    public WordPieceTokenizer Tokenizer { get; }

    /// <summary>Scores texts.</summary>
    /// <param name="texts">Their tokens; null for one that is missing.</param>
    /// <param name="batchSize">Texts of one forward pass.</param>
    /// <returns>Class probabilities (C) and the mean of the last layer (D) of each; null for one that is missing.</returns>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public (float[] Probabilities, float[] Embedding)?[] Score(IReadOnlyList<TextExample?> texts, int batchSize)
    {
        var scores = new (float[], float[])?[texts.Count];
        // Texts of like length together: what is filled up is computed too.
        var order = Enumerable.Range(0, texts.Count).Where(i => texts[i] is not null).OrderBy(i => texts[i]!.Value.Tokens.Length);
        foreach (var some in order.Chunk(batchSize))
        {
            Use(_ =>
            {
                using var mode = inference_mode();
                using var scope = NewDisposeScope();
                using var batch = TextBatch.Create([.. some.Select(i => texts[i]!.Value)], device);
                var output = Model.forward(batch.Ids_NL, batch.IsToken_NL, batch.Segments_NL);
                var probabilities = output.Logits_NC.softmax(1).cpu().data<float>().ToArray().Chunk(Model.ClassCount).ToArray();
                var embeddings = output.Features_ND.cpu().data<float>().ToArray().Chunk(Model.Encoder.Config.Width).ToArray();
                for (var i = 0; i < some.Length; i++)
                    scores[some[i]] = (probabilities[i], embeddings[i]);
            });
        }
        return scores;
    }

    /// <summary>Does something with the network while nobody else does.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public void Use(Action<TextClassifier> action)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, typeof(TextClassificationTransformer));
            Model.eval();
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
}
