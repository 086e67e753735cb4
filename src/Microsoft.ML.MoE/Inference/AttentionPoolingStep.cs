// Axes: L = tokens, D = model width.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Microsoft.ML.MoE.Kernels;
using TorchSharp;

namespace Microsoft.ML.MoE.Inference;

/// <summary>A weighted mean of tokens: z = softmax(X·q)ᵀ·X.</summary>
/// <param name="query_D">q, float32 (D), on the CPU.</param>
internal sealed unsafe class AttentionPoolingStep(torch.Tensor query_D)
{
    private readonly PinnedFloats query = Numbers.Of(query_D);
    private readonly int width = (int)query_D.shape[0];

    /// <summary>Pools the tokens of an image.</summary>
    /// <param name="workspace">Memory.</param>
    /// <param name="x">(L, D).</param>
    /// <param name="tokens">L, at least 1.</param>
    /// <param name="y">Receives (D).</param>
    public void Apply(Workspace workspace, float* x, int tokens, float* y)
    {
        var mark = workspace.Mark();
        var weights = workspace.Floats(tokens);
        for (var token = 0; token < tokens; token++)
            weights[token] = Dot(x + ((nint)token * width));
        Softmax.Apply(weights, tokens);
        new Span<float>(y, width).Clear();
        for (var token = 0; token < tokens; token++)
            RowSums.AddScaled(x + ((nint)token * width), weights[token], y, width);
        workspace.Release(mark);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private float Dot(float* row)
    {
        var (sums, i) = (Vector512<float>.Zero, 0);
        for (; i + Vector512<float>.Count <= width; i += Vector512<float>.Count)
            sums = Vector512.FusedMultiplyAdd(Vector512.Load(row + i), Vector512.Load(query.Address + i), sums);
        var sum = Vector512.Sum(sums);
        for (; i < width; i++)
            sum += row[i] * query.Address[i];
        return sum;
    }
}
