using System.Text;
using Microsoft.ML.MoE.Generation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Owns the model and runs it, for one caller at a time however many threads ask.</summary>
internal sealed class LanguageModelScorer : IDisposable
{
    private readonly Lock gate = new();
    private readonly int batchSize;
    private bool disposed;

    public LanguageModelScorer(LanguageModel model, TextTokenizer tokenizer, int batchSize)
    {
        Model = model;
        Tokenizer = tokenizer;
        this.batchSize = batchSize;
        model.eval();   // a caller of the model itself gets what scoring gets

        // The caller may be inside a dispose scope of its own, which would take the weights with it.
        foreach (var tensor in model.parameters().Concat(model.buffers()))
            tensor.DetachFromDisposeScope();
    }

    /// <summary>The model.</summary>
    public LanguageModel Model { get; }

    /// <summary>The tokenizer in front of it.</summary>
    public TextTokenizer Tokenizer { get; }

    /// <summary>How often the model has been asked to score texts.</summary>
    public int ScoringCount { get; private set; }

    /// <summary>Scores texts.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public DocumentScore[] Score(IReadOnlyList<string> texts, bool withEmbeddings) =>
        Score([.. texts.Select(Tokenizer.Encode)], withEmbeddings, null, CancellationToken.None);

    /// <summary>Scores documents.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public DocumentScore[] Score(
        IReadOnlyList<int[]> documents, bool withEmbeddings, IReadOnlyList<ExpertUsage>? usage, CancellationToken cancellationToken)
    {
        DocumentScore[] scores = [];
        Use(model =>
        {
            ScoringCount++;
            scores = new DocumentScorer(model, Tokenizer.SeparatorId, batchSize).Score(documents, withEmbeddings, usage, cancellationToken);
        });
        return scores;
    }

    /// <summary>Starts to continue a text.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public TextGeneration Generate(string? prompt, GenerationOptions options, int seed)
    {
        TokenGenerator? generator = null;
        Use(model =>
            generator = new TokenGenerator(
                model, [Tokenizer.SeparatorId, .. Tokenizer.Encode(prompt)], options.Sampling, seed,
                Tokenizer.UnknownId is { } unknown ? [unknown] : []));
        return new TextGeneration(this, options, generator!);
    }

    /// <summary>Continues a text.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public string Continue(string? prompt, GenerationOptions options, int seed)
    {
        using var generation = Generate(prompt, options, seed);
        var text = new StringBuilder();
        while (generation.Next() is { } ready)
            text.Append(ready);
        return text.ToString();
    }

    /// <summary>Does something with the model while nobody else does.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public void Use(Action<LanguageModel> action)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, typeof(LanguageModelTransformer));
            Model.eval();
            action(Model);
        }
    }

    /// <summary>Frees the model.</summary>
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
