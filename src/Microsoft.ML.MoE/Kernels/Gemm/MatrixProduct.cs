namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>One product of a group: output = left · right, with what is done to a finished sum.</summary>
/// <param name="left">Rows × depth; its lines are the output's rows.</param>
/// <param name="right">Depth × columns; its lines are the output's columns.</param>
/// <param name="output">The first number of the output.</param>
/// <param name="outputStride">Numbers from one row of the output to the next.</param>
/// <param name="rows">Rows of the output; may be 0.</param>
/// <param name="columns">Columns of the output.</param>
/// <param name="depth">Terms of each sum; 0 makes the output 0.</param>
internal readonly unsafe struct MatrixProduct(
    Operand left, Operand right, float* output, nint outputStride, int rows, int columns, int depth)
{
    public readonly Operand Left = left;
    public readonly Operand Right = right;
    public readonly float* Output = output;
    public readonly nint OutputStride = outputStride;
    public readonly int Rows = rows;
    public readonly int Columns = columns;
    public readonly int Depth = depth;

    /// <summary>Added to every row, one number a column; null for none.</summary>
    public float* Bias { get; init; }

    /// <summary>
    /// What GELU was applied to in the forward pass, laid out as the output: each sum is multiplied with GELU's derivative there. Null for
    /// none.
    /// </summary>
    public float* GeluInput { get; init; }

    /// <summary>Whether to add to what the output holds.</summary>
    public bool Add { get; init; }
}
