// The experts' forward and backward pass on the CPU in float32, with the managed matrix product.
//
// Axes: T = tokens of the whole batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token, R =
// computed rows,
//       C = rows of a chunk.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Microsoft.ML.MoE.Kernels.Gemm;

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>
/// yₜ = Σₖ gₜₖ · (gelu(xₜ·W1ₑ + b1ₑ)·W2ₑ + b2ₑ) and its gradients, on numbers in memory. Tokens are gathered and GELU is applied where the
/// products read or write their numbers, so that of all intermediate results only the sums before GELU and the rows' outputs lie in memory.
/// </summary>
/// <remarks>
/// Rows are worked on in chunks, which may end within an expert: what one product writes, the next finds in the cache, and a chunk's memory
/// is small enough for the C library to keep when it is freed.
/// </remarks>
/// <param name="tokens">T.</param>
/// <param name="choices">K.</param>
/// <param name="width">D.</param>
/// <param name="hiddenWidth">F.</param>
/// <param name="rowEnds">One past the last row of each expert (E).</param>
/// <param name="tokenOfRow">For every row its token (R).</param>
/// <param name="pairOfRow">For every row its pair, token · K + choice (R).</param>
internal sealed unsafe class ManagedExperts(
    int tokens, int choices, int width, int hiddenWidth, int[] rowEnds, long* tokenOfRow, long* pairOfRow)
{
    private const int ChunkBytes = 16 << 20;

    /// <summary>Computed rows R.</summary>
    public int Rows { get; } = rowEnds[^1];

    /// <summary>Rows of a chunk; the last may have fewer.</summary>
    public int ChunkRows { get; } = Math.Max(ChunkBytes / sizeof(float) / hiddenWidth / MicroKernel.Rows, 1) * MicroKernel.Rows;

    /// <summary>Number of chunks.</summary>
    public int Chunks => (Rows + ChunkRows - 1) / ChunkRows;

    /// <summary>Computes the outputs.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="pass">Tokens, gates and weights, and room for what the backward pass needs.</param>
    /// <param name="b1">(E, F).</param>
    /// <param name="b2">(E, D).</param>
    /// <param name="y">Receives the combined outputs (T, D).</param>
    public void Forward(WorkTeam team, ManagedPass pass, float* b1, float* b2, float* y)
    {
        var x = pass.X;
        var w1 = pass.W1;
        var w2 = pass.W2;
        var rowOutputs = pass.RowOutputs;
        for (var chunk = 0; chunk < Chunks; chunk++)
        {
            // As if the chunk were a part of all rows' numbers.
            var chunkHidden = (float*)pass.Hidden[chunk] - ((nint)chunk * ChunkRows * hiddenWidth);
            Multiply(team, chunk, (e, row, count) =>
                new(
                    new Operand(x, width, termsAlongRow: true, tokenOfRow + row),
                    new Operand(w1 + ((nint)e * width * hiddenWidth), hiddenWidth, termsAlongRow: false),
                    chunkHidden + ((nint)row * hiddenWidth),
                    hiddenWidth,
                    count,
                    hiddenWidth,
                    width)
                {
                    Bias = b1 + ((nint)e * hiddenWidth),
                }
            );
            Multiply(team, chunk, (e, row, count) =>
                new(
                    new Operand(chunkHidden + ((nint)row * hiddenWidth), hiddenWidth, termsAlongRow: true, gelu: true),
                    new Operand(w2 + ((nint)e * width * hiddenWidth), width, termsAlongRow: false),
                    rowOutputs + ((nint)row * width),
                    width,
                    count,
                    width,
                    hiddenWidth)
                {
                    Bias = b2 + ((nint)e * width),
                }
            );
        }

        Combine(team, rowOutputs, pass.Gates, y);
    }

    /// <summary>Computes the gradients. All of them are overwritten.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="pass">What the forward pass had and left.</param>
    /// <param name="dy">Gradient of the combined outputs (T, D).</param>
    /// <param name="rowGradients">Room for (R, D).</param>
    /// <param name="hiddenGradients">Room for (C, F).</param>
    /// <param name="gradients">Receive them.</param>
    public void Backward(
        WorkTeam team, ManagedPass pass, float* dy, float* rowGradients, float* hiddenGradients, ManagedGradients gradients)
    {
        var x = pass.X;
        var w1 = pass.W1;
        var w2 = pass.W2;
        var dx = gradients.X;
        var dw1 = gradients.W1;
        var dw2 = gradients.W2;
        ClearIdle(gradients);
        Spread(team, dy, pass.Gates, pass.RowOutputs, rowGradients, gradients.Gates);
        for (var chunk = 0; chunk < Chunks; chunk++)
        {
            var first = chunk * ChunkRows;
            var chunkHidden = (float*)pass.Hidden[chunk] - ((nint)first * hiddenWidth);
            var chunkGradients = hiddenGradients - ((nint)first * hiddenWidth);

            Multiply(team, chunk, (e, row, count) => new(
                new Operand(chunkHidden + ((nint)row * hiddenWidth), hiddenWidth, termsAlongRow: false, gelu: true),
                new Operand(rowGradients + ((nint)row * width), width, termsAlongRow: false),
                dw2 + ((nint)e * width * hiddenWidth), width, hiddenWidth, width, count)
            {
                Add = row > FirstRow(e),
            });
            SumRows(team, chunk, rowGradients, width, gradients.B2);

            Multiply(team, chunk, (e, row, count) => new(
                new Operand(rowGradients + ((nint)row * width), width, termsAlongRow: true),
                new Operand(w2 + ((nint)e * width * hiddenWidth), width, termsAlongRow: true),
                chunkGradients + ((nint)row * hiddenWidth), hiddenWidth, count, hiddenWidth, width)
            {
                GeluInput = chunkHidden + ((nint)row * hiddenWidth),
            });

            Multiply(team, chunk, (e, row, count) => new(
                new Operand(x, width, termsAlongRow: false, tokenOfRow + row),
                new Operand(chunkGradients + ((nint)row * hiddenWidth), hiddenWidth, termsAlongRow: false),
                dw1 + ((nint)e * width * hiddenWidth), hiddenWidth, width, hiddenWidth, count)
            {
                Add = row > FirstRow(e),
            });
            SumRows(team, chunk, chunkGradients, hiddenWidth, gradients.B1);

            if (dx == null)
                continue;
            Multiply(team, chunk, (e, row, count) => new(
                new Operand(chunkGradients + ((nint)row * hiddenWidth), hiddenWidth, termsAlongRow: true),
                new Operand(w1 + ((nint)e * width * hiddenWidth), hiddenWidth, termsAlongRow: true),
                rowGradients + ((nint)row * width), width, count, width, hiddenWidth));
        }

        if (dx != null)
            Combine(team, rowGradients, gates: null, dx);
    }

    private int FirstRow(int expert) => expert == 0 ? 0 : rowEnds[expert - 1];

    // One product for each expert that has rows in the chunk.
    private void Multiply(WorkTeam team, int chunk, Func<int, int, int, MatrixProduct> product)
    {
        var products = new List<MatrixProduct>(rowEnds.Length);
        foreach (var (expert, row, count) in Pieces(chunk))
            products.Add(product(expert, row, count));
        ManagedGemm.Run(team, products);
    }

    private IEnumerable<(int Expert, int Row, int Count)> Pieces(int chunk)
    {
        var (start, end) = (chunk * ChunkRows, Math.Min(Rows, (chunk + 1) * ChunkRows));
        for (var e = 0; e < rowEnds.Length; e++)
        {
            var (first, last) = (Math.Max(start, FirstRow(e)), Math.Min(end, rowEnds[e]));
            if (first < last)
                yield return (e, first, last - first);
        }
    }

    // Experts without rows have gradients of 0.
    private void ClearIdle(ManagedGradients gradients)
    {
        for (var e = 0; e < rowEnds.Length; e++)
        {
            if (FirstRow(e) < rowEnds[e])
                continue;
            Clear(gradients.W1 + ((nint)e * width * hiddenWidth), (nint)width * hiddenWidth);
            Clear(gradients.B1 + ((nint)e * hiddenWidth), hiddenWidth);
            Clear(gradients.W2 + ((nint)e * width * hiddenWidth), (nint)width * hiddenWidth);
            Clear(gradients.B2 + ((nint)e * width), width);
        }
    }

    private static void Clear(float* numbers, nint count) => NativeMemory.Clear(numbers, (nuint)count * sizeof(float));

    // Adds up the rows of each token, in the order of its choices, so that the sum does not depend on the threads.
    private void Combine(WorkTeam team, float* values, float* gates, float* sums)
    {
        var rowOfPair = new int[tokens * choices];
        Array.Fill(rowOfPair, -1);
        for (var row = 0; row < Rows; row++)
            rowOfPair[pairOfRow[row]] = row;

        team.ForRanges(tokens, (start, end) =>
        {
            for (var token = start; token < end; token++)
            {
                var sum = sums + ((nint)token * width);
                Clear(sum, width);
                for (var pair = token * choices; pair < (token + 1) * choices; pair++)
                {
                    if (rowOfPair[pair] >= 0)
                        RowSums.AddScaled(values + ((nint)rowOfPair[pair] * width), gates == null ? 1 : gates[pair], sum, width);
                }
            }
        });
    }

    // Hands each row the gradient of its output, and each gate its own.
    private void Spread(WorkTeam team, float* dy, float* gates, float* rowOutputs, float* rowGradients, float* dGates)
    {
        Clear(dGates, (nint)tokens * choices);
        team.ForRanges(Rows, (start, end) =>
        {
            for (var row = start; row < end; row++)
            {
                var pair = pairOfRow[row];
                dGates[pair] = DotAndScale(
                    dy + ((nint)tokenOfRow[row] * width),
                    rowOutputs + ((nint)row * width),
                    gates[pair],
                    rowGradients + ((nint)row * width),
                    width);
            }
        });
    }

    // Adds the rows of a chunk to the sums of their experts.
    private void SumRows(WorkTeam team, int chunk, float* values, int columns, float* sums)
    {
        var pieces = Pieces(chunk).ToArray();
        team.ForRanges(pieces.Length, (start, end) =>
        {
            for (var i = start; i < end; i++)
            {
                var (expert, first, count) = pieces[i];
                var sum = sums + ((nint)expert * columns);
                if (first == FirstRow(expert))
                    Clear(sum, columns);
                RowSums.Add(values + ((nint)first * columns), count, columns, sum);
            }
        });
    }

    // The dot product of a and b; a times the factor goes to scaled.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float DotAndScale(float* a, float* b, float factor, float* scaled, int count)
    {
        var sums = Vector512<float>.Zero;
        var i = 0;
        for (; i + Vector512<float>.Count <= count; i += Vector512<float>.Count)
        {
            var va = Vector512.Load(a + i);
            sums = Vector512.FusedMultiplyAdd(va, Vector512.Load(b + i), sums);
            (va * factor).Store(scaled + i);
        }

        var sum = Vector512.Sum(sums);
        for (; i < count; i++)
        {
            sum += a[i] * b[i];
            scaled[i] = a[i] * factor;
        }

        return sum;
    }
}
