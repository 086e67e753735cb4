// A language model without libtorch: what it computes in evaluation, as steps on numbers in memory with weights that were packed once.
//
// Axes: T = tokens, L = tokens of a sequence, V = vocabulary, D = model width.

using Microsoft.ML.MoE.Inference;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// The scores that <see cref="LanguageModel"/> gives in evaluation, to rounding, with the weights that it had when the plan was made. For
/// any number of threads at a time; they wait for nobody. Disposing lets go of tables of experts, which are read where they lie, when the
/// last of those that read has done.
/// </summary>
/// <param name="config">The model's configuration.</param>
/// <param name="vectors">The tokens' vectors (V, D).</param>
/// <param name="positions">Learned positions (L, D); null where the attention knows them.</param>
/// <param name="blocks">The blocks.</param>
/// <param name="finalNorm">Behind them.</param>
/// <param name="scores">D to V.</param>
internal sealed unsafe class LanguageModelPlan(
    LanguageModelConfig config,
    PinnedFloats vectors,
    PinnedFloats? positions,
    CausalBlockStep[] blocks,
    NormStep finalNorm,
    LinearStep scores)
    : IDisposable
{
    private const int NumbersAtATime = 1 << 16;   // of the tokens of a pass, at the model's width: 256 KB

    private readonly PlanRunner runner = new();
    private readonly long workOfToken = config.GetCost().ForwardMacs;
    private int holders = 1;   // its owner, and whoever reads
    private bool disposed;

    /// <summary>Takes what is wanted of a sequence.</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="sequence">Which one.</param>
    /// <param name="states_LD">The last layer, normalised (L, D).</param>
    public delegate void StateReader(Workspace workspace, int sequence, float* states_LD);

    /// <summary>The configuration that the model was made from.</summary>
    public LanguageModelConfig Config => config;

    /// <summary>What its user holds, who does not know of plans: the exception of a disposed plan names it.</summary>
    public required Type Owner { get; init; }

    /// <summary>Reads sequences of any lengths, each on its own.</summary>
    /// <param name="sequences">Their tokens, at least one in each and at most the context length.</param>
    /// <param name="read">Takes what is wanted; called on several threads at a time, once for each sequence.</param>
    /// <exception cref="ArgumentException">A sequence has no token, too many, or one that is not in the vocabulary.</exception>
    /// <exception cref="ObjectDisposedException">The plan has been disposed; names <see cref="Owner"/>.</exception>
    public void Read(IReadOnlyList<int[]> sequences, StateReader read)
    {
        foreach (var tokens in sequences)
            Check(tokens, config.ContextLength);
        if (sequences.Count == 0)
            return;
        var longest = sequences.Max(tokens => tokens.Length);
        using var hold = Hold();
        runner.Run(
            sequences.Count, Math.Max(1, NumbersAtATime / config.Width / longest), workOfToken * longest, (workspace, first, count) =>
        {
            var lengths = new SequenceLengths([.. Enumerable.Range(first, count).Select(i => sequences[i].Length)]);
            var x = workspace.Floats((long)lengths.Tokens * config.Width);
            for (var (i, row) = (0, 0); i < count; row += lengths[i++])
                Embed(sequences[first + i], 0, x + ((nint)row * config.Width));
            Encode(workspace, x, lengths);
            for (var (i, row) = (0, 0); i < count; row += lengths[i++])
            {
                var mark = workspace.Mark();
                read(workspace, first + i, x + ((nint)row * config.Width));
                workspace.Release(mark);
            }
        });
    }

    /// <summary>The scores of the token after each of some states.</summary>
    /// <param name="workspace">Who works.</param>
    /// <param name="states_TD">States (T, D).</param>
    /// <param name="count">T.</param>
    /// <param name="logits_TV">Receives them (T, V).</param>
    public void Score(Workspace workspace, float* states_TD, int count, float* logits_TV) =>
        scores.Apply(workspace, new(states_TD, config.Width), count, logits_TV, config.VocabularySize);

    /// <summary>An empty memory of a sequence for <see cref="Advance"/>.</summary>
    public PlanCache CreateCache() => new(config.Blocks, config.ContextLength, config.Width);

    /// <summary>
    /// Reads tokens after those that the cache remembers: the same scores as reading all of them anew, at the cost of the new ones.
    /// </summary>
    /// <param name="tokens">The new tokens.</param>
    /// <param name="cache">What <see cref="CreateCache"/> made; remembers the new tokens too.</param>
    /// <param name="logits">Receives the scores of the token after the last one (V).</param>
    /// <exception cref="ArgumentException">There is no token, or one that is not in the vocabulary, or more than the cache has room
    /// for.</exception>
    /// <exception cref="ObjectDisposedException">The plan has been disposed; names <see cref="Owner"/>.</exception>
    public void Advance(int[] tokens, PlanCache cache, float[] logits)
    {
        Check(tokens, cache.Capacity - cache.Length);
        using var hold = Hold();
        runner.Run(1, 1, workOfToken * tokens.Length, (workspace, _, _) =>
        {
            var count = tokens.Length;
            var x = workspace.Floats((long)count * config.Width);
            Embed(tokens, cache.Length, x);
            var normed = workspace.Floats((long)count * config.Width);
            for (var block = 0; block < blocks.Length; block++)
            {
                var (norm, attention, slotNorm, slot) = blocks[block];
                norm.Apply(x, count, normed);
                attention.AddTo(workspace, normed, count, cache, block, x);
                slotNorm.Apply(x, count, normed);
                slot.AddTo(workspace, normed, count, 1, x);
            }
            finalNorm.Apply(x + ((nint)(count - 1) * config.Width), 1, normed);
            fixed (float* target = logits)
            {
                Score(workspace, normed, 1, target);
            }
        });
        cache.Advance(tokens.Length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!Interlocked.Exchange(ref disposed, true))
            LetGo();
    }

    private Holding Hold()
    {
        int count;
        do
        {
            count = Volatile.Read(ref holders);
            ObjectDisposedException.ThrowIf(count == 0, Owner);
        }
        while (Interlocked.CompareExchange(ref holders, count + 1, count) != count);
        return new(this);
    }

    private void LetGo()
    {
        if (Interlocked.Decrement(ref holders) > 0)
            return;
        foreach (var table in blocks.Select(block => block.Slot).OfType<IDisposable>())
            table.Dispose();
    }

    private void Embed(int[] tokens, int first, float* x)
    {
        var width = config.Width;
        for (var i = 0; i < tokens.Length; i++, x += width)
        {
            var vector = vectors.Address + ((nint)tokens[i] * width);
            var position = positions is null ? null : positions.Address + ((nint)(first + i) * width);
            for (var d = 0; d < width; d++)
                x[d] = position == null ? vector[d] : vector[d] + position[d];
        }
    }

    private void Encode(Workspace workspace, float* x, SequenceLengths lengths)
    {
        var width = config.Width;
        var normed = workspace.Floats((long)lengths.Tokens * width);
        foreach (var (norm, attention, slotNorm, slot) in blocks)
        {
            norm.Apply(x, lengths.Tokens, normed);
            attention.AddTo(workspace, normed, lengths, x);
            slotNorm.Apply(x, lengths.Tokens, normed);
            if (!slot.TokensCompete)
            {
                slot.AddTo(workspace, normed, lengths.Tokens, 1, x);
                continue;
            }
            for (var (sequence, row) = (0, 0); sequence < lengths.Count; row += lengths[sequence++])
                slot.AddTo(workspace, normed + ((nint)row * width), lengths[sequence], 1, x + ((nint)row * width));
        }
        finalNorm.Apply(x, lengths.Tokens, x);
    }

    private void Check(int[] tokens, int room)
    {
        if (tokens.Length == 0 || tokens.Length > room)
            throw new ArgumentException(
                $"There are {tokens.Length} tokens, and room for {room}; at least one is wanted. The model's context length is "
                    + $"{config.ContextLength}.",
                nameof(tokens));
        foreach (var token in tokens)
        {
            if ((uint)token >= (uint)config.VocabularySize)
                throw new ArgumentException(
                    $"There is a token {token}; the vocabulary has those from 0 to {config.VocabularySize - 1}.", nameof(tokens));
        }
    }

    private readonly struct Holding(LanguageModelPlan plan) : IDisposable
    {
        public void Dispose() => plan.LetGo();
    }
}
