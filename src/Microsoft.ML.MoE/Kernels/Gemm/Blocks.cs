// How large the blocks are that the caches keep, from the caches' sizes.
//
// Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008): a panel of the left operand stays in the L1 cache
// while the panels of a block of the right one, which stays in the L2 cache, pass by.

using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Sizes of the blocks in which the managed matrix product goes through its operands.</summary>
internal static class Blocks
{
    /// <summary>The most terms that a block has on any processor.</summary>
    public const int MaxDepth = 320;

    private const int OtherL1 = 32 << 10;   // where the processor does not say: the least that those with AVX2 have
    private const int OtherL2 = 256 << 10;

    private static readonly (int L1, int L2) Caches = Read();

    /// <summary>
    /// Terms of a block: a panel of the right operand takes no more than two thirds of the L1 cache; the left one's stays there.
    /// </summary>
    public static int Depth { get; } =
        Math.Clamp(Caches.L1 * 2 / 3 / (MicroKernel.Columns * sizeof(float)) / 16 * 16, 128, MaxDepth);

    /// <summary>Numbers of a block of the right operand: half of the L2 cache.</summary>
    public static int RightFloats { get; } = Math.Min(Caches.L2 / 2 / sizeof(float), WorkTeam.Scratch.Floats - LeftFloats);

    /// <summary>Room for a panel of the left operand, and for what packing may write beyond its end.</summary>
    public const int LeftFloats = (MicroKernel.MaxRows * MaxDepth) + 16;

    // What a thread has of the first and the second cache, in bytes.
    private static (int L1, int L2) Read()
    {
        if (!X86Base.IsSupported || HasCoresOfSeveralKinds())
            return (OtherL1, OtherL2);
        var (most, ebx, _, _) = X86Base.CpuId(0, 0);
        var leaf = 4;
        if (ebx == 0x68747541)   // "Auth", of AMD, has the same in another place
            (leaf, most) = (unchecked((int)0x8000001D), X86Base.CpuId(unchecked((int)0x80000000), 0).Eax);
        if (most < leaf)   // both are negative on AMD's
            return (OtherL1, OtherL2);

        var (l1, l2) = (OtherL1, OtherL2);
        for (var i = 0; i < 8; i++)
        {
            var (eax, b, ecx, _) = X86Base.CpuId(leaf, i);
            var (type, level) = (eax & 31, (eax >> 5) & 7);
            if (type == 0)
                break;
            if (type == 2)   // of instructions
                continue;
            var bytes = (long)(((b >>> 22) & 1023) + 1) * (((b >>> 12) & 1023) + 1) * ((b & 4095) + 1) * (ecx + 1);
            if (level == 1)
                l1 = (int)Math.Clamp(bytes, OtherL1, 1 << 20);
            else if (level == 2)
                l2 = (int)Math.Clamp(bytes, OtherL2, 16 << 20);
        }

        return (l1, l2);
    }

    // Which kind this runs on is chance, and the order of a sum must not be.
    private static bool HasCoresOfSeveralKinds() => X86Base.CpuId(0, 0).Eax >= 7 && ((X86Base.CpuId(7, 0).Edx >> 15) & 1) == 1;
}
