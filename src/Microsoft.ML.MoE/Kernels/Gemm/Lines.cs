namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Where the micro-kernel finds the left operand: term k of line i at <c>First[(i * Line) + (k * Term)]</c>.</summary>
/// <param name="first">The first number.</param>
/// <param name="line">Numbers from one line to the next.</param>
/// <param name="term">Numbers from one term to the next.</param>
internal readonly unsafe struct Lines(float* first, nint line, nint term)
{
    public readonly float* First = first;
    public readonly nint Line = line;
    public readonly nint Term = term;
}
