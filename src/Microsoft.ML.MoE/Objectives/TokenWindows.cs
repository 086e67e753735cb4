// Axes: N = windows of a batch, L = tokens of a window.

using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>
/// Windows of a long sequence of tokens. Every epoch cuts the sequence anew, at a random place, into windows that do not overlap, and reads
/// them in random order: each token is predicted once an epoch (but for a rest of less than a window), with another context each time. The
/// sequence is a ring: a window may go over its end to its start.
/// </summary>
/// <remarks>
/// An epoch's order is a function of the seed and the epoch, so that a training can be taken up again: read the same epoch, and pass over
/// the batches that are done. Documents are joined by a separator token, <see cref="Join"/>, and a window may see the end of the document
/// before.
/// </remarks>
internal sealed class TokenWindows : IBatchSource<TokenBatch>
{
    private readonly int[] tokens;
    private readonly int length;
    private readonly int windows;
    private readonly int batchSize;
    private readonly long seed;
    private readonly Device device;

    /// <summary>Makes a source.</summary>
    /// <param name="tokens">The sequence, at least one token; not copied.</param>
    /// <param name="contextLength">Tokens of a window, at least 1. A shorter sequence makes one window of its own length.</param>
    /// <param name="batchSize">Windows of a batch, at least 1; the last batch of an epoch may have fewer.</param>
    /// <param name="seed">Decides the order.</param>
    /// <param name="device">Where the batches go; CPU by default.</param>
    /// <exception cref="ArgumentException">There is no token, or a number is below 1.</exception>
    public TokenWindows(int[] tokens, int contextLength, int batchSize, long seed, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        if (tokens.Length == 0)
            throw new ArgumentException("There are no tokens; at least one is wanted.", nameof(tokens));
        OptionChecks.AtLeast(1, contextLength, nameof(contextLength));
        OptionChecks.AtLeast(1, batchSize, nameof(batchSize));
        this.tokens = tokens;
        this.batchSize = batchSize;
        this.seed = seed;
        this.device = device ?? CPU;
        length = Math.Min(contextLength, tokens.Length);
        windows = tokens.Length / length;
    }

    /// <inheritdoc/>
    public int? BatchesPerEpoch => (windows + batchSize - 1) / batchSize;

    /// <summary>Joins documents: each comes after a separator.</summary>
    /// <param name="documents">The tokens of each document.</param>
    /// <param name="separator">The separator.</param>
    /// <exception cref="OverflowException">There are more than 2³¹ tokens.</exception>
    public static int[] Join(IReadOnlyList<int[]> documents, int separator)
    {
        ArgumentNullException.ThrowIfNull(documents);
        var joined = new int[checked((int)(documents.Sum(document => (long)document.Length) + documents.Count))];
        var position = 0;
        foreach (var document in documents)
        {
            joined[position++] = separator;
            document.CopyTo(joined, position);
            position += document.Length;
        }
        return joined;
    }

    /// <inheritdoc/>
    public IEnumerable<TokenBatch> ReadEpoch(int epoch, CancellationToken cancellationToken)
    {
        var random = SeededRandom.Create(seed, epoch);
        var first = random.Next(tokens.Length);
        int[] order = [.. Enumerable.Range(0, windows)];
        random.Shuffle(order);
        for (var start = 0; start < windows; start += batchSize)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return Cut(first, order.AsSpan(start, Math.Min(batchSize, windows - start)));
        }
    }

    private TokenBatch Cut(int first, ReadOnlySpan<int> chosen)
    {
        var (inputs, targets) = (new long[chosen.Length * length], new long[chosen.Length * length]);
        for (var window = 0; window < chosen.Length; window++)
        {
            var position = (int)((first + ((long)chosen[window] * length)) % tokens.Length);
            for (var i = window * length; i < (window + 1) * length; i++)
            {
                inputs[i] = tokens[position];
                position = position + 1 == tokens.Length ? 0 : position + 1;
                targets[i] = tokens[position];
            }
        }

        using var scope = NewDisposeScope();
        long[] shape = [chosen.Length, length];
        return new TokenBatch(tensor(inputs, shape, int64, device), tensor(targets, shape, int64, device));   // owns them from here on
    }
}
