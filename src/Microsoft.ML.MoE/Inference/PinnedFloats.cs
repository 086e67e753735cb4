namespace Microsoft.ML.MoE.Inference;

/// <summary>
/// Memory for float32 numbers at an address that does not change, a multiple of 64. The collector frees it with this object: nobody can
/// use it too long, and nobody has to dispose it.
/// </summary>
/// <param name="count">How many numbers; they hold anything at first.</param>
internal sealed unsafe class PinnedFloats(long count)
{
    private const int Alignment = 64;
    private const int Spare = Alignment / sizeof(float);

    private readonly float[] numbers = GC.AllocateUninitializedArray<float>(checked((int)(count + Spare)), pinned: true);

    /// <summary>The first number.</summary>
    public float* Address
    {
        get
        {
            fixed (float* first = numbers)   // pinned anyway
                return (float*)(((nint)first + Alignment - 1) / Alignment * Alignment);
        }
    }

    /// <summary>How many numbers there are.</summary>
    public long Count { get; } = count;
}
