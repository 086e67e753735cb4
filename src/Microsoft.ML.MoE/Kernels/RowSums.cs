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
}
