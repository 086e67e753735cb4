namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// How the numbers of a table are stored. What is computed with them is float32 either way, and so is the optimizer's state.
/// </summary>
public enum TablePrecision
{
    /// <summary>32-bit floats.</summary>
    Float32,

    /// <summary>
    /// 16-bit brain floats, half the memory and half the traffic. Updates are rounded up or down at random, in proportion to what is cut
    /// off, so that those too small for the format are kept on average.
    /// </summary>
    BFloat16,
}
