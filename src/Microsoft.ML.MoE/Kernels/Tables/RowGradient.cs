// Axes: T = tokens, D = width, P = pairs (token, row).

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>The gradient of a table's rows as products: pair p adds multiples[p] · vectors[p / choices] to its row.</summary>
/// <param name="multiples">(P).</param>
/// <param name="vectors">(T, D).</param>
/// <param name="width">D.</param>
/// <param name="choices">Pairs of a token.</param>
internal readonly unsafe struct RowGradient(float* multiples, float* vectors, int width, int choices)
{
    /// <summary>The vectors (T, D).</summary>
    public readonly float* Vectors = vectors;

    /// <summary>The gradient of a row as a multiple of a vector: of its pair's own, or of the sum of its pairs.</summary>
    /// <param name="pairs">The row's pairs.</param>
    /// <param name="count">How many, at least 1.</param>
    /// <param name="sum">Room for D numbers.</param>
    /// <param name="multiple">The multiple.</param>
    /// <returns>The vector.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float* OfRow(int* pairs, int count, float* sum, out float multiple)
    {
        if (count == 1)
        {
            multiple = multiples[*pairs];
            return Vectors + ((nint)(*pairs / choices) * width);
        }

        NativeMemory.Clear(sum, (nuint)width * sizeof(float));
        Add(pairs, count, sum);
        multiple = 1;
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Add(int* pairs, int count, float* sum)
    {
        const int Block = 32;   // pairs whose tokens and multiples are looked up before their vectors are added
        var tokens = stackalloc int[Block];
        var factors = stackalloc float[Block];
        for (; count > 0; count -= Block, pairs += Block)
        {
            var taken = Math.Min(Block, count);
            for (var i = 0; i < taken; i++)
                (tokens[i], factors[i]) = ((int)((uint)pairs[i] / (uint)choices), multiples[pairs[i]]);
            RowSums.AddMultiples(Vectors, width, width, tokens, factors, taken, sum);
        }
    }
}
