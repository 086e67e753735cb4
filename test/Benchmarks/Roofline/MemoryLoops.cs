using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Benchmarks.Roofline;

/// <summary>Loops that wait for the memory alone. Addresses are aligned to 64 bytes, sizes are multiples of 512 bytes.</summary>
internal static unsafe class MemoryLoops
{
    private const int LineBytes = 64;
    private const int StepFloats = 128;   // eight lines

    /// <summary>Reads everything in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Read(float* from, long floats)
    {
        Vector512<float> a = default, b = default, c = default, d = default;
        for (var i = 0L; i < floats; i += StepFloats)
        {
            a += Vector512.Load(from + i) + Vector512.Load(from + i + 64);
            b += Vector512.Load(from + i + 16) + Vector512.Load(from + i + 80);
            c += Vector512.Load(from + i + 32) + Vector512.Load(from + i + 96);
            d += Vector512.Load(from + i + 48) + Vector512.Load(from + i + 112);
        }

        return Vector512.Sum(a + b + c + d);
    }

    /// <summary>Copies everything in order, past the caches: a line that is written is not read first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void CopyPastCaches(float* from, float* to, long floats)
    {
        for (var i = 0L; i < floats; i += 64)
        {
            Vector512.Load(from + i).StoreAlignedNonTemporal(to + i);
            Vector512.Load(from + i + 16).StoreAlignedNonTemporal(to + i + 16);
            Vector512.Load(from + i + 32).StoreAlignedNonTemporal(to + i + 32);
            Vector512.Load(from + i + 48).StoreAlignedNonTemporal(to + i + 48);
        }
    }

    /// <summary>Reads rows in the order of a list.</summary>
    /// <param name="from">The first row.</param>
    /// <param name="rows">Which rows.</param>
    /// <param name="rowFloats">Numbers of a row, a multiple of 128.</param>
    /// <param name="ahead">How many rows before it is read a row is fetched into the cache; 0 for not at all.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float ReadRows(float* from, ReadOnlySpan<int> rows, int rowFloats, int ahead)
    {
        var sum = 0f;
        for (var i = 0; i < rows.Length; i++)
        {
            if (ahead > 0 && Sse.IsSupported && i + ahead < rows.Length)
            {
                var next = (byte*)(from + ((long)rows[i + ahead] * rowFloats));
                for (var place = 0; place < rowFloats * sizeof(float); place += LineBytes)
                    Sse.Prefetch0(next + place);
            }

            sum += Read(from + ((long)rows[i] * rowFloats), rowFloats);
        }

        return sum;
    }
}
