// What attention has to keep of the tokens before, so that the next one costs one token.
//
// Axes: N = sequences, H = heads, L = tokens, A = width of a head.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// The keys and values of the tokens that some sequences have so far, for every block of a model. The caller owns it and hands it from call
/// to call; not for several threads at once.
/// </summary>
internal sealed class KeyValueCache : IDisposable
{
    private readonly Tensor[] keys;
    private readonly Tensor[] values;

    /// <summary>Makes an empty cache.</summary>
    /// <param name="blocks">Blocks of the model.</param>
    /// <param name="sequences">Number of sequences N, at least 1.</param>
    /// <param name="heads">Heads H.</param>
    /// <param name="capacity">Tokens of a sequence that there is room for.</param>
    /// <param name="headWidth">Width A of a head.</param>
    /// <param name="type">Type of keys and values.</param>
    /// <param name="device">Where they lie.</param>
    internal KeyValueCache(int blocks, int sequences, int heads, int capacity, int headWidth, ScalarType type, Device device)
    {
        using var scope = NewDisposeScope();
        keys = Make();
        values = Make();
        (Sequences, Capacity) = (sequences, capacity);

        // Zeros, not leftovers of other tensors: what is beyond the length is never read, but a NaN there would be hard to tell from a
        // mistake.
        Tensor[] Make() =>
            [
                .. Enumerable
                    .Range(0, blocks)
                    .Select(_ => zeros([sequences, heads, capacity, headWidth], type, device).DetachFromDisposeScope()),
            ];
    }

    /// <summary>Number of sequences N.</summary>
    public int Sequences { get; }

    /// <summary>Tokens of a sequence that there is room for.</summary>
    public int Capacity { get; }

    /// <summary>Tokens of each sequence that have been read.</summary>
    public int Length { get; private set; }

    /// <summary>Forgets all tokens.</summary>
    public void Reset() => Length = 0;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in keys.Concat(values))
            tensor.Dispose();
    }

    /// <summary>Writes the keys and values of new tokens behind those of the tokens before, and gives all of them.</summary>
    /// <param name="block">The block.</param>
    /// <param name="key_NHLA">Keys of the new tokens.</param>
    /// <param name="value_NHLA">Their values.</param>
    /// <returns>Views, in the caller's dispose scope.</returns>
    internal (Tensor Keys_NHLA, Tensor Values_NHLA) Append(int block, Tensor key_NHLA, Tensor value_NHLA)
    {
        var added = key_NHLA.shape[2];
        using (var scope = NewDisposeScope())
        {
            keys[block].narrow(2, Length, added).copy_(key_NHLA);
            values[block].narrow(2, Length, added).copy_(value_NHLA);
        }
        return (keys[block].narrow(2, 0, Length + added), values[block].narrow(2, 0, Length + added));
    }

    /// <summary>The new tokens have been through all blocks.</summary>
    internal void Advance(int tokens) => Length += tokens;
}
