namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// The number type of a model's matrix products. Weights, routing, softmax, losses and optimizer state are 32-bit floats whatever is
/// chosen.
/// </summary>
public enum Precision
{
    /// <summary>
    /// <see cref="BFloat16"/> where the hardware multiplies bfloat16 matrices, several times faster than others: CUDA devices of compute
    /// capability 8.0 or more (A100, RTX 30 and newer) and CPUs with AVX-512 BF16 or AMX; <see cref="Float32"/> on every other device, and
    /// where the driver does not tell the capability.
    /// </summary>
    Auto,

    /// <summary>32-bit floats.</summary>
    Float32,

    /// <summary>
    /// 16-bit brain floats: the range of 32-bit floats with 8 bits of precision. Works on every device, slowly where hardware lacks it.
    /// </summary>
    BFloat16,
}
