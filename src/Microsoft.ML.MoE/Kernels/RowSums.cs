using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>Sums over rows of float32 numbers.</summary>
internal static unsafe class RowSums
{
    /// <summary>sums = Σ rows.</summary>
    public static void Overwrite(float* values, int rows, int columns, float* sums)
    {
        NativeMemory.Clear(sums, (nuint)columns * sizeof(float));
        Add(values, rows, columns, sums);
    }

    /// <summary>sums += Σ rows.</summary>
    public static void Add(float* values, int rows, int columns, float* sums)
    {
        for (var row = 0; row < rows; row++)
            AddScaled(values + ((nint)row * columns), 1, sums, columns);
    }

    /// <summary>sum += factor · row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddScaled(float* row, float factor, float* sum, int count)
    {
        var i = 0;
        for (; i + Vector512<float>.Count <= count; i += Vector512<float>.Count)
            Vector512.FusedMultiplyAdd(Vector512.Load(row + i), Vector512.Create(factor), Vector512.Load(sum + i)).Store(sum + i);
        for (; i < count; i++)
            sum[i] += factor * row[i];
    }

    /// <summary>sum += Σ factors[i] · row ids[i], in the order of i. The sums stay in registers meanwhile.</summary>
    /// <param name="rows">The first row.</param>
    /// <param name="columns">Numbers of a row that are added up.</param>
    /// <param name="stride">Numbers from one row to the next.</param>
    /// <param name="ids">Rows.</param>
    /// <param name="factors">What they are multiplied with.</param>
    /// <param name="count">How many.</param>
    /// <param name="sum">What is added to.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddMultiples(float* rows, int columns, nint stride, int* ids, float* factors, int count, float* sum)
    {
        var column = 0;
        for (; column + (8 * Vector512<float>.Count) <= columns; column += 8 * Vector512<float>.Count)
        {
            var target = sum + column;
            var (a, b, c, d) = (
                Vector512.Load(target), Vector512.Load(target + 16), Vector512.Load(target + 32), Vector512.Load(target + 48));
            var (e, f, g, h) = (
                Vector512.Load(target + 64), Vector512.Load(target + 80), Vector512.Load(target + 96), Vector512.Load(target + 112));
            for (var i = 0; i < count; i++)
            {
                var row = rows + (ids[i] * stride) + column;
                var factor = Vector512.Create(factors[i]);
                a = Vector512.FusedMultiplyAdd(Vector512.Load(row), factor, a);
                b = Vector512.FusedMultiplyAdd(Vector512.Load(row + 16), factor, b);
                c = Vector512.FusedMultiplyAdd(Vector512.Load(row + 32), factor, c);
                d = Vector512.FusedMultiplyAdd(Vector512.Load(row + 48), factor, d);
                e = Vector512.FusedMultiplyAdd(Vector512.Load(row + 64), factor, e);
                f = Vector512.FusedMultiplyAdd(Vector512.Load(row + 80), factor, f);
                g = Vector512.FusedMultiplyAdd(Vector512.Load(row + 96), factor, g);
                h = Vector512.FusedMultiplyAdd(Vector512.Load(row + 112), factor, h);
            }

            a.Store(target);
            b.Store(target + 16);
            c.Store(target + 32);
            d.Store(target + 48);
            e.Store(target + 64);
            f.Store(target + 80);
            g.Store(target + 96);
            h.Store(target + 112);
        }

        for (; column + (4 * Vector512<float>.Count) <= columns; column += 4 * Vector512<float>.Count)
        {
            var target = sum + column;
            var (a, b, c, d) = (
                Vector512.Load(target), Vector512.Load(target + 16), Vector512.Load(target + 32), Vector512.Load(target + 48));
            for (var i = 0; i < count; i++)
            {
                var row = rows + (ids[i] * stride) + column;
                var factor = Vector512.Create(factors[i]);
                a = Vector512.FusedMultiplyAdd(Vector512.Load(row), factor, a);
                b = Vector512.FusedMultiplyAdd(Vector512.Load(row + 16), factor, b);
                c = Vector512.FusedMultiplyAdd(Vector512.Load(row + 32), factor, c);
                d = Vector512.FusedMultiplyAdd(Vector512.Load(row + 48), factor, d);
            }

            a.Store(target);
            b.Store(target + 16);
            c.Store(target + 32);
            d.Store(target + 48);
        }

        for (; column + (2 * Vector512<float>.Count) <= columns; column += 2 * Vector512<float>.Count)
        {
            var target = sum + column;
            var (a, b) = (Vector512.Load(target), Vector512.Load(target + 16));
            for (var i = 0; i < count; i++)
            {
                var row = rows + (ids[i] * stride) + column;
                var factor = Vector512.Create(factors[i]);
                a = Vector512.FusedMultiplyAdd(Vector512.Load(row), factor, a);
                b = Vector512.FusedMultiplyAdd(Vector512.Load(row + 16), factor, b);
            }

            a.Store(target);
            b.Store(target + 16);
        }

        for (var i = 0; column < columns && i < count; i++)
            AddScaled(rows + (ids[i] * stride) + column, factors[i], sum + column, columns - column);
    }

    /// <summary>Row ids[i] += factors[i] · vector, for every i in turn.</summary>
    /// <param name="rows">The first row.</param>
    /// <param name="columns">Numbers of a row.</param>
    /// <param name="ids">Rows.</param>
    /// <param name="factors">What the vector is multiplied with.</param>
    /// <param name="count">How many.</param>
    /// <param name="vector">What is added.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddToRows(float* rows, int columns, int* ids, float* factors, int count, float* vector)
    {
        var column = 0;
        for (; column + (2 * Vector512<float>.Count) <= columns; column += 2 * Vector512<float>.Count)
        {
            var (a, b) = (Vector512.Load(vector + column), Vector512.Load(vector + column + 16));
            for (var i = 0; i < count; i++)
            {
                var row = rows + ((nint)ids[i] * columns) + column;
                var factor = Vector512.Create(factors[i]);
                Vector512.FusedMultiplyAdd(a, factor, Vector512.Load(row)).Store(row);
                Vector512.FusedMultiplyAdd(b, factor, Vector512.Load(row + 16)).Store(row + 16);
            }
        }

        for (var i = 0; column < columns && i < count; i++)
            AddScaled(vector + column, factors[i], rows + ((nint)ids[i] * columns) + column, columns - column);
    }
}
