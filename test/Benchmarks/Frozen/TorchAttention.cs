// Axes: N = sequences, L = tokens of a sequence, D = model width, H = heads, A = D/H, width of a head.

using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>Self-attention in which every token sees every other, by libtorch's fused operator.</summary>
internal sealed record TorchAttention(TorchLinear QueryKeyValue, TorchLinear Output, int Heads)
{
    public Tensor Apply(Tensor x_NLD)
    {
        using var scope = NewDisposeScope();
        var (sequences, length, width) = (x_NLD.shape[0], x_NLD.shape[1], x_NLD.shape[2]);
        var parts = QueryKeyValue.Apply(x_NLD).view(sequences, length, 3, Heads, width / Heads).permute(2, 0, 3, 1, 4).unbind(0);
        var mixed_NHLA = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2]);
        return Output.Apply(mixed_NHLA.transpose(1, 2).reshape(sequences, length, width)).MoveToOuterDisposeScope();
    }
}
