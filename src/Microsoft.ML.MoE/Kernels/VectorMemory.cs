using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>
/// Sixteen numbers at a time from and to rows of float32 or bfloat16 numbers; they are worked on as float32. Where a row ends earlier, the
/// vector's other numbers read as 0 and are not written. bfloat16, a <see langword="ushort"/> here, is the upper half of float32 and needs
/// AVX-512.
/// </summary>
internal static unsafe class VectorMemory
{
    /// <summary>Numbers of a vector.</summary>
    public const int Count = 16;

    /// <summary>Reads float32 numbers.</summary>
    /// <param name="source">The first number.</param>
    /// <param name="left">Numbers from there to the end of the row, at least 1.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* source, int left) => left >= Count ? Vector512.Load(source) : LoadEnd(source, left);

    /// <summary>Reads bfloat16 numbers.</summary>
    /// <inheritdoc cref="Load(float*, int)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(ushort* source, int left) => left >= Count ? Widen(Vector256.Load(source)) : LoadEnd(source, left);

    /// <summary>Writes float32 numbers.</summary>
    /// <param name="numbers">The numbers.</param>
    /// <param name="target">Where the first goes.</param>
    /// <param name="left">Numbers from there to the end of the row, at least 1.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> numbers, float* target, int left)
    {
        if (left >= Count)
            numbers.Store(target);
        else
            StoreEnd(numbers, target, left);
    }

    /// <summary>Writes bfloat16 numbers: the nearest ones, of two equally near the even one. NaN stays NaN.</summary>
    /// <inheritdoc cref="Store(Vector512{float}, float*, int)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> numbers, ushort* target, int left)
    {
        if (left >= Count)
            Narrow(numbers).Store(target);
        else
            StoreEnd(numbers, target, left);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Widen(Vector256<ushort> halves) =>
        Vector512.ShiftLeft(Avx512F.ConvertToVector512UInt32(halves), 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ushort> Narrow(Vector512<float> numbers)
    {
        var bits = numbers.AsUInt32();
        var rounded = bits + Vector512.Create(0x7fffu) + (Vector512.ShiftRightLogical(bits, 16) & Vector512<uint>.One);
        var quiet = bits | Vector512.Create(0x00400000u);   // rounded up, some NaN would become infinite or lose their sign
        return Avx512F.ConvertToVector256UInt16(
            Vector512.ShiftRightLogical(Vector512.ConditionalSelect(Vector512.Equals(numbers, numbers).AsUInt32(), rounded, quiet), 16));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<float> LoadEnd(float* source, int left)
    {
        var numbers = stackalloc float[Count];
        new ReadOnlySpan<float>(source, left).CopyTo(new Span<float>(numbers, Count));
        return Vector512.Load(numbers);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<float> LoadEnd(ushort* source, int left)
    {
        var numbers = stackalloc ushort[Count];
        new ReadOnlySpan<ushort>(source, left).CopyTo(new Span<ushort>(numbers, Count));
        return Widen(Vector256.Load(numbers));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StoreEnd(Vector512<float> numbers, float* target, int left)
    {
        var all = stackalloc float[Count];
        numbers.Store(all);
        new ReadOnlySpan<float>(all, left).CopyTo(new Span<float>(target, left));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StoreEnd(Vector512<float> numbers, ushort* target, int left)
    {
        var all = stackalloc ushort[Count];
        Narrow(numbers).Store(all);
        new ReadOnlySpan<ushort>(all, left).CopyTo(new Span<ushort>(target, left));
    }
}
