using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>
/// Rows of bfloat16, the upper half of a float32. Stored by stochastic rounding: up with the probability that is the part cut off, so that
/// the mean over the random bits is the exact value. Gupta et al., arXiv 1502.02551, section 3.
/// </summary>
internal readonly unsafe struct BFloat16Rows : IRowFormat
{
    private const int LowerBits = 16;

    public static int Bytes => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* row, int i)
    {
        var halves = Vector256.Load((ushort*)row + i);
        var numbers = Avx512F.IsSupported
            ? Avx512F.ConvertToVector512UInt32(halves)
            : Vector512.Create(Vector256.WidenLower(halves), Vector256.WidenUpper(halves));
        return Vector512.ShiftLeft(numbers, LowerBits).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LoadOne(byte* row, int i) => BitConverter.UInt32BitsToSingle((uint)((ushort*)row)[i] << LowerBits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* row, int i, Vector512<float> values, Vector512<uint> random)
    {
        // A random number below one unit of what is kept carries into it as often as the part cut off is large. Infinity and NaN of
        // hardware have none, and stay.
        var rounded = Vector512.ShiftRightLogical(values.AsUInt32() + Vector512.ShiftRightLogical(random, LowerBits), LowerBits);
        var halves = Avx512F.IsSupported
            ? Avx512F.ConvertToVector256UInt16(rounded)
            : Vector256.Narrow(rounded.GetLower(), rounded.GetUpper());
        halves.Store((ushort*)row + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreOne(byte* row, int i, float value, uint random) =>
        ((ushort*)row)[i] = (ushort)((BitConverter.SingleToUInt32Bits(value) + (random >> LowerBits)) >> LowerBits);
}
