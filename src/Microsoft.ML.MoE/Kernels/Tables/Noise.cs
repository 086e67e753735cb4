// Random bits that are a function of where they are used, so that they do not depend on the order of the work. The mixing constants are
// those of C. Wellons' "lowbias32" and of splitmix64.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>Random bits by position.</summary>
internal static class Noise
{
    /// <summary>Where a row's bits start.</summary>
    /// <param name="update">The update.</param>
    /// <param name="row">The row.</param>
    /// <param name="table">The table.</param>
    public static uint Start(int update, int row, int table) => Mix((((ulong)(uint)update << 32) | (uint)row) + ((ulong)(uint)table << 62));

    /// <summary>Bits that depend on all bits of a number.</summary>
    public static uint Mix(ulong number)
    {
        var z = number + 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return (uint)(z ^ (z >> 31));
    }

    /// <summary>Bits for sixteen numbers of a row, from number i on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> At(uint start, int i) => Mix(Vector512<uint>.Indices + Vector512.Create(start + (uint)i));

    /// <summary>The same from a start of 64 bits, for places so many that 32 would repeat.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> At(uint start, uint otherStart, int i) => Mix(At(start, i) ^ Vector512.Create(otherStart));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Mix(Vector512<uint> x)
    {
        x = (x ^ Vector512.ShiftRightLogical(x, 16)) * Vector512.Create(0x7FEB352Du);
        x = (x ^ Vector512.ShiftRightLogical(x, 15)) * Vector512.Create(0x846CA68Bu);
        return x ^ Vector512.ShiftRightLogical(x, 16);
    }
}
