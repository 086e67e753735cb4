using System.Text;
using Microsoft.ML.MoE.Generation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Owns the model and runs it: by its plan, as many threads at a time as ask; else for one caller at a time.
/// </summary>
internal sealed class LanguageModelScorer : IDisposable
{
    private readonly Lock gate = new();
    private readonly PlanKeeper<LanguageModelPlan> plans;
    private readonly int batchSize;
    private int scorings;
    private int likelihoods;
    private volatile bool disposed;

    public LanguageModelScorer(LanguageModel model, TextTokenizer tokenizer, int batchSize)
    {
        Model = model;
        plans = new(gate, model, () => model.CreatePlan(typeof(LanguageModelTransformer)), RequireAlive);
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
    public int ScoringCount => Volatile.Read(ref scorings);

    /// <summary>How often likelihoods were wanted then.</summary>
    public int LikelihoodCount => Volatile.Read(ref likelihoods);

    /// <summary>The model for somebody who may change it.</summary>
    public LanguageModel LendModel()
    {
        if (!disposed)
            plans.Lend();
        return Model;
    }

    /// <summary>Scores documents. By its plan any number of threads do so at a time; else one after the other.</summary>
    /// <param name="documents">The tokens of each.</param>
    /// <param name="withLikelihoods">Whether log-likelihoods are wanted.</param>
    /// <param name="withEmbeddings">Whether embeddings are wanted.</param>
    /// <param name="usage">What adds up the experts that are used; null for none.</param>
    /// <param name="cancellationToken">Stops between two batches.</param>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public DocumentScore[] Score(
        IReadOnlyList<int[]> documents,
        bool withLikelihoods,
        bool withEmbeddings,
        IReadOnlyList<ExpertUsage>? usage = null,
        CancellationToken cancellationToken = default)
    {
        RequireAlive();
        Interlocked.Increment(ref scorings);
        if (withLikelihoods)
            Interlocked.Increment(ref likelihoods);
        if (usage is null && plans.Get() is { } plan)
            return Score(plan);
        DocumentScore[] scores = [];
        Use(_ => scores = Score(null));
        return scores;

        DocumentScore[] Score(LanguageModelPlan? by) => new DocumentScorer(Model, Tokenizer.SeparatorId, batchSize, by).Score(
            documents, withEmbeddings, usage, withLikelihoods, cancellationToken);
    }

    /// <summary>Starts to continue a text, with the weights as they are now.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public TextGeneration Generate(string? prompt, GenerationOptions options, int seed)
    {
        RequireAlive();
        int[] start = [Tokenizer.SeparatorId, .. Tokenizer.Encode(prompt)];
        int[] excluded = Tokenizer.UnknownId is { } unknown ? [unknown] : [];
        if (plans.Get() is { } plan)
            return new TextGeneration(
                this, options, new TokenGenerator(Model, start, options.Sampling, seed, excluded, plan: plan), isByPlan: true);
        TokenGenerator? generator = null;
        Use(model => generator = new TokenGenerator(model, start, options.Sampling, seed, excluded));
        return new TextGeneration(this, options, generator!, isByPlan: false);
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
            RequireAlive();
            Model.eval();
            action(Model);
        }
    }

    /// <summary>Checks that the transformer has not been disposed.</summary>
    /// <exception cref="ObjectDisposedException">It has.</exception>
    public void RequireAlive() => ObjectDisposedException.ThrowIf(disposed, typeof(LanguageModelTransformer));

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
                return;
            disposed = true;
            plans.Dispose();
            Model.Dispose();
            TorchRuntime.ReleaseFreedMemory();
        }
    }
}
