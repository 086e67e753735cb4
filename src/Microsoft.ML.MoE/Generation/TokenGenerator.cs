// Axes: N = sequences (one here), L = new tokens, V = vocabulary.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Generation;

/// <summary>
/// Continues a sequence token by token. Keys and values of the tokens before are kept, so that a token costs one token's work. Where the
/// model's context is full, it goes on from the last half of it. Not for several threads at once; put the model into evaluation mode first,
/// and leave it there.
/// </summary>
internal sealed class TokenGenerator : IDisposable
{
    private readonly LanguageModel model;
    private readonly TokenSampler sampler;
    private readonly HashSet<int> excluded;
    private readonly Device device;
    private readonly LanguageModelPlan? plan;
    private readonly PlanCache? planCache;
    private readonly float[] logits_V = [];
    private readonly KeyValueCache? cache;
    private readonly List<int> tokens;
    private int read;

    /// <summary>Makes a generator.</summary>
    /// <param name="model">The model; stays the caller's.</param>
    /// <param name="tokens">What is to be continued, at least one token.</param>
    /// <param name="sampling">How tokens are chosen.</param>
    /// <param name="seed">Where random numbers start.</param>
    /// <param name="excluded">Tokens that must not come.</param>
    /// <param name="useCache">False to read everything anew for each token: the same scores, for tests and comparisons.</param>
    /// <param name="plan">The model's plan, by which the tokens are then read; null for none.</param>
    /// <exception cref="ArgumentException">There is no token, or an option is out of range.</exception>
    public TokenGenerator(
        LanguageModel model,
        IEnumerable<int> tokens,
        SamplingOptions sampling,
        int seed,
        IEnumerable<int>? excluded = null,
        bool useCache = true,
        LanguageModelPlan? plan = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokens);
        this.model = model;
        this.tokens = [.. tokens];
        if (this.tokens.Count == 0)
            throw new ArgumentException("There are no tokens to continue; at least one is wanted.", nameof(tokens));
        sampler = new TokenSampler(sampling, seed);
        this.excluded = [.. excluded ?? []];
        device = model.parameters().First().device;
        if (useCache && plan is not null)
            (this.plan, planCache, logits_V) = (plan, plan.CreateCache(), new float[model.Config.VocabularySize]);
        else
            cache = useCache ? model.CreateCache() : null;
    }

    /// <summary>The tokens so far, those at the start included.</summary>
    public IReadOnlyList<int> Tokens => tokens;

    /// <summary>Chooses the next token and adds it.</summary>
    /// <returns>The token.</returns>
    public int Next()
    {
        var logits = plan is null ? Read() : ReadByPlan();
        foreach (var token in excluded)
            logits[token] = float.NegativeInfinity;
        var next = sampler.Next(logits, tokens);
        tokens.Add(next);
        return next;
    }

    /// <inheritdoc/>
    public void Dispose() => cache?.Dispose();

    private float[] Read()
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var context = model.Config.ContextLength;
        var first = FirstInContext(tokens.Count, context);
        Tensor logits_NV;
        if (cache is null)
        {
            logits_NV = model.forward(Ids(first)).Logits_NLV.narrow(1, tokens.Count - first - 1, 1).squeeze(1);
        }
        else
        {
            if (read + 1 != tokens.Count || cache.Length != read - first)   // the first time, and where the context was full
            {
                cache.Reset();
                read = first;
            }
            logits_NV = model.Advance(Ids(read), cache);
            read = tokens.Count;
        }

        return logits_NV.cpu().data<float>().ToArray();
    }

    private float[] ReadByPlan()
    {
        var first = FirstInContext(tokens.Count, model.Config.ContextLength);
        if (read + 1 != tokens.Count || planCache!.Length != read - first)   // the first time, and where the context was full
        {
            planCache!.Reset();
            read = first;
        }
        plan!.Advance([.. tokens.Skip(read)], planCache, logits_V);
        read = tokens.Count;
        return logits_V;
    }

    // A context that is full starts again with its last half, and fills up token by token; the same however many tokens there were at the
    // start.
    private static int FirstInContext(int count, int context)
    {
        if (count <= context)
            return 0;
        var kept = Math.Max(1, context / 2);
        var round = context - kept + 1;   // tokens until it is full again
        return (((count - context - 1) / round) + 1) * round;
    }

    private Tensor Ids(int from) =>
        tensor(tokens.Skip(from).Select(token => (long)token).ToArray(), [1, tokens.Count - from], int64, device);
}
