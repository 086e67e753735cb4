using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>Turns a <see cref="Precision"/> into the type that tensors take.</summary>
internal static class PrecisionExtensions
{
    /// <summary>The type of matrix products on a device.</summary>
    /// <param name="precision">What the user asked for.</param>
    /// <param name="device">Where the model runs.</param>
    /// <returns><see cref="ScalarType.Float32"/> or <see cref="ScalarType.BFloat16"/>.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="precision"/> is none of the enumeration's values.</exception>
    public static ScalarType Resolve(this Precision precision, Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return precision switch
        {
            Precision.Auto => MultipliesBFloat16(device) ? ScalarType.BFloat16 : ScalarType.Float32,
            Precision.Float32 => ScalarType.Float32,
            Precision.BFloat16 => ScalarType.BFloat16,
            _ => throw new ArgumentOutOfRangeException(nameof(precision), precision, "Precision must be Auto, Float32 or BFloat16."),
        };
    }

    /// <summary>Whether this CPU, and the operating system on it, has the bfloat16 products that oneDNN uses.</summary>
    internal static bool CpuMultipliesBFloat16 { get; } = DetectBFloat16();

    /// <summary>
    /// Whether a CUDA device multiplies bfloat16 in hardware; those before 8.0 only emulate it, and an unknown one is taken for such.
    /// </summary>
    /// <param name="computeCapabilityMajor">The first number of its compute capability, or null if the driver does not tell.</param>
    internal static bool CudaMultipliesBFloat16(int? computeCapabilityMajor) => computeCapabilityMajor >= 8;

    private static bool MultipliesBFloat16(Device device) =>
        device.type switch
        {
            DeviceType.CPU => CpuMultipliesBFloat16,
            // -1: the default device.
            DeviceType.CUDA => CudaMultipliesBFloat16(CudaDriver.GetComputeCapabilityMajor(Math.Max(device.index, 0))),
            _ => false,
        };

    private static bool DetectBFloat16()
    {
        // Avx512F.IsSupported also says that the operating system saves the 512-bit registers, which CPUID's feature bits do not.
        if (!X86Base.IsSupported || !Avx512F.IsSupported || X86Base.CpuId(0, 0).Eax < 7)
            return false;

        const int Avx512BFloat16 = 1 << 5; // leaf 7, subleaf 1, EAX
        const int AmxBFloat16 = 1 << 22;   // leaf 7, subleaf 0, EDX
        var features = X86Base.CpuId(7, 0);
        return (features.Edx & AmxBFloat16) != 0
            || (features.Eax >= 1 && (X86Base.CpuId(7, 1).Eax & Avx512BFloat16) != 0); // subleaf 0's EAX is the highest subleaf
    }
}
