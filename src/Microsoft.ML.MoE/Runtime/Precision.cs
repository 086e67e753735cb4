namespace Microsoft.ML.MoE.Runtime;

/// <summary>The number type of a model's matrix products. Weights, routing, softmax, losses and optimizer state are 32-bit floats whatever is chosen.</summary>
public enum Precision
{
    /// <summary>
    /// <see cref="BFloat16"/> on a CPU that multiplies bfloat16 matrices in hardware (AVX-512 BF16 or AMX), where it is several times faster;
    /// <see cref="Float32"/> on every other device. On CUDA devices too: TorchSharp does not tell a device's compute capability, and those before 8.0 only
    /// emulate bfloat16, so ask for <see cref="BFloat16"/> yourself on an A100, an RTX 30 or anything newer.
    /// </summary>
    Auto,

    /// <summary>32-bit floats.</summary>
    Float32,

    /// <summary>16-bit brain floats: the range of 32-bit floats with 8 bits of precision. Works on every device, slowly where hardware lacks it.</summary>
    BFloat16,
}
