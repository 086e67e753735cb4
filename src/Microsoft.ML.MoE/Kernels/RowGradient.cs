// Axes: T = tokens, D = width, P = pairs (token, row).

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>The gradient of a table's rows as products: pair p adds multiples[p] · vectors[p / choices] to its row.</summary>
/// <param name="multiples">(P).</param>
/// <param name="vectors">(T, D).</param>
/// <param name="width">D.</param>
/// <param name="choices">Pairs of a token.</param>
internal readonly unsafe struct RowGradient(float* multiples, float* vectors, int width, int choices)
{
    /// <summary>The vectors (T, D).</summary>
    public readonly float* Vectors = vectors;

    /// <summary>One pair's multiple.</summary>
    public float Multiple(int pair) => multiples[pair];

    /// <summary>One pair's vector.</summary>
    public float* Vector(int pair) => Vectors + ((nint)(uint)(pair / choices) * width);

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
            return Vector(*pairs);
        }

        NativeMemory.Clear(sum, (nuint)width * sizeof(float));
        for (var i = 0; i < count; i++)
            RowSums.AddScaled(Vector(pairs[i]), multiples[pairs[i]], sum, width);
        multiple = 1;
        return sum;
    }
}
