// Multi-head self-attention in both directions. Vaswani et al., arXiv 1706.03762, section 3.2.
//
// Axes: N = sequences, L = tokens of a sequence, D = model width, H = heads, A = D/H, width of a head.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// Self-attention in which every token sees every token of its sequence. Query, key, value and output projections have biases.
/// </summary>
internal sealed class MultiHeadAttention : nn.Module<Tensor, Tensor>
{
    private readonly int heads;
    private readonly Dense queryKeyValue;
    private readonly Dense output;

    /// <summary>Makes an attention layer.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="heads">Number of heads H, a divisor of D.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">The width is not a multiple of the heads.</exception>
    public MultiHeadAttention(int width, int heads, Device? device = null) : base(nameof(MultiHeadAttention))
    {
        if (heads < 1 || width % heads != 0)
            throw new ArgumentException(
                $"The width is {width} and the number of heads {heads}; the width must be a multiple of the heads.", nameof(heads));
        this.heads = heads;
        queryKeyValue = new Dense(width, 3L * width, device) { HiddenLayers = 3 };
        output = new Dense(width, width, device);
        RegisterComponents();
    }

    /// <summary>Attends.</summary>
    /// <param name="x_NLD">Tokens, (N, L, D).</param>
    /// <returns>(N, L, D), in the input's type.</returns>
    public override Tensor forward(Tensor x_NLD) => forward(x_NLD, null);

    /// <summary>Attends to some tokens.</summary>
    /// <param name="x_NLD">Tokens, (N, L, D).</param>
    /// <param name="seen_N11L">What nobody sees is false, a text's padding: bool (N, 1, 1, L), at least one true a sequence; null for
    /// none.</param>
    /// <returns>(N, L, D), in the input's type.</returns>
    public Tensor forward(Tensor x_NLD, Tensor? seen_N11L)
    {
        using var scope = NewDisposeScope();
        var (sequences, length, width) = (x_NLD.shape[0], x_NLD.shape[1], x_NLD.shape[2]);
        // (N, L, 3D) -> (3, N, H, L, A).
        var qkv_3NHLA = queryKeyValue.forward(x_NLD).view(sequences, length, 3, heads, width / heads).permute(2, 0, 3, 1, 4);
        var parts = qkv_3NHLA.unbind(0);
        var mixed_NHLA = IsFusedBetter(x_NLD)
            ? nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], seen_N11L)
            : Define(parts[0], parts[1], parts[2], seen_N11L);
        var mixed_NLD = mixed_NHLA.transpose(1, 2).reshape(sequences, length, width);   // (N, H, L, A) -> (N, L, D)
        return output.forward(mixed_NLD).MoveToOuterDisposeScope();
    }

    // libtorch's fused attention has no meta kernel, and on the CPU its backward pass in bfloat16 takes about eight times the plain one's.
    private static bool IsFusedBetter(Tensor x) => x.device.type switch
    {
        DeviceType.META => false,
        DeviceType.CPU => x.dtype == float32 || !(is_grad_enabled() && x.requires_grad),
        _ => true,
    };

    /// <summary>The plain definition, softmax(Q·Kᵀ/√A)·V with the softmax in float32.</summary>
    internal static Tensor Define(Tensor query_NHLA, Tensor key_NHLA, Tensor value_NHLA, Tensor? seen_N11L = null)
    {
        using var scope = NewDisposeScope();
        var scores_NHLL = query_NHLA.matmul(key_NHLA.transpose(-2, -1)).DividedBy(Math.Sqrt(query_NHLA.shape[3]));
        if (seen_N11L is not null)
            scores_NHLL = scores_NHLL.MaskedFill(seen_N11L.logical_not(), double.NegativeInfinity);
        return scores_NHLL.softmax(-1, float32).to_type(value_NHLA.dtype).matmul(value_NHLA).MoveToOuterDisposeScope();
    }

    /// <summary>The layer in a plan: its weights as they are now.</summary>
    internal AttentionStep ToStep() => new(heads, queryKeyValue.ToStep(), output.ToStep());
}
