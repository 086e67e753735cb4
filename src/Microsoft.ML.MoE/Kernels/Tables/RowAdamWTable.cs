namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>A table and what AdamW knows of it.</summary>
/// <param name="weights">(N, D), in its format.</param>
/// <param name="first">Running means of the gradients (N, D).</param>
/// <param name="second">Running means of the squared gradients (N, D), or one for a row (N).</param>
/// <param name="gradient">The gradient of its rows.</param>
internal readonly unsafe struct RowAdamWTable(byte* weights, float* first, float* second, RowGradient gradient)
{
    public readonly byte* Weights = weights;
    public readonly float* First = first;
    public readonly float* Second = second;
    public readonly RowGradient Gradient = gradient;
}
