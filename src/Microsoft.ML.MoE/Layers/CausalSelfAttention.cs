// Multi-head self-attention in which a token sees itself and the tokens before it. Vaswani et al., arXiv 1706.03762, sections 3.2 and
// 3.2.3.
//
// Axes: N = sequences, L = tokens of a sequence, P = tokens before them and they, D = model width, H = heads, A = D/H, width of a head.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>Causal self-attention. Query, key, value and output projections have biases.</summary>
internal sealed class CausalSelfAttention : nn.Module<Tensor, Tensor>
{
    private readonly int heads;
    private readonly Dense queryKeyValue;
    private readonly Dense output;

    /// <summary>Makes an attention layer.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="heads">Number of heads H, a divisor of D.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">The width is not a multiple of the heads.</exception>
    public CausalSelfAttention(int width, int heads, Device? device = null) : base(nameof(CausalSelfAttention))
    {
        if (heads < 1 || width % heads != 0)
            throw new ArgumentException(
                $"The width is {width} and the number of heads {heads}; the width must be a multiple of the heads.", nameof(heads));
        this.heads = heads;
        queryKeyValue = new Dense(width, 3L * width, device) { HiddenLayers = 3 };
        output = new Dense(width, width, device);
        RegisterComponents();
    }

    /// <summary>Attends within whole sequences, without positions.</summary>
    /// <param name="x_NLD">Tokens, (N, L, D).</param>
    public override Tensor forward(Tensor x_NLD) => forward(x_NLD, null, null, 0);

    /// <summary>Attends.</summary>
    /// <param name="x_NLD">Tokens, (N, L, D).</param>
    /// <param name="rotary">Turns queries and keys by their positions; null for none.</param>
    /// <param name="cache">The tokens before these, which these see too; gets these. Null where there are none.</param>
    /// <param name="block">Which of the cache's blocks this is.</param>
    /// <returns>(N, L, D), in the input's type.</returns>
    public Tensor forward(Tensor x_NLD, RotaryPositions? rotary, KeyValueCache? cache, int block)
    {
        using var scope = NewDisposeScope();
        var (sequences, length, width) = (x_NLD.shape[0], x_NLD.shape[1], x_NLD.shape[2]);
        var before = cache?.Length ?? 0;
        // (N, L, 3D) -> (3, N, H, L, A).
        var qkv_3NHLA = queryKeyValue.forward(x_NLD).view(sequences, length, 3, heads, width / heads).permute(2, 0, 3, 1, 4);
        // By split and unbind, whose backward passes join gradients: those of an index fill the rest with zeros and add.
        var parts = qkv_3NHLA.split([2, 1], 0);
        var turned = (rotary is null ? parts[0] : rotary.forward(parts[0], before)).unbind(0);
        var (query_NHLA, key_NHPA, value_NHPA) = (turned[0], turned[1], parts[1].squeeze(0));
        if (cache is not null)
            (key_NHPA, value_NHPA) = cache.Append(block, key_NHPA, value_NHPA);

        var mixed_NHLA = IsFusedBetter(x_NLD)
            ? Fuse(query_NHLA, key_NHPA, value_NHPA, before)
            : Define(query_NHLA, key_NHPA, value_NHPA, before);
        var mixed_NLD = mixed_NHLA.transpose(1, 2).reshape(sequences, length, width);   // (N, H, L, A) -> (N, L, D)
        return output.forward(mixed_NLD).MoveToOuterDisposeScope();
    }

    // As in MultiHeadAttention.
    private static bool IsFusedBetter(Tensor x) => x.device.type switch
    {
        DeviceType.META => false,
        DeviceType.CPU => x.dtype == float32 || !(is_grad_enabled() && x.requires_grad),
        _ => true,
    };

    private static Tensor Fuse(Tensor query_NHLA, Tensor key_NHPA, Tensor value_NHPA, long before)
    {
        if (before == 0)
            return nn.functional.scaled_dot_product_attention(query_NHLA, key_NHPA, value_NHPA, is_casual: true);
        if (query_NHLA.shape[2] == 1)
            return nn.functional.scaled_dot_product_attention(query_NHLA, key_NHPA, value_NHPA);
        using var scope = NewDisposeScope();
        return nn.functional.scaled_dot_product_attention(query_NHLA, key_NHPA, value_NHPA, attn_mask: Visible(query_NHLA, before))
            .MoveToOuterDisposeScope();
    }

    /// <summary>The plain definition, softmax(Q·Kᵀ/√A)·V over the keys up to the query's own, with the softmax in float32.</summary>
    internal static Tensor Define(Tensor query_NHLA, Tensor key_NHPA, Tensor value_NHPA, long before)
    {
        using var scope = NewDisposeScope();
        var scores_NHLP = query_NHLA.matmul(key_NHPA.transpose(-2, -1)).DividedBy(Math.Sqrt(query_NHLA.shape[3]));
        scores_NHLP = scores_NHLP.MaskedFill(Visible(query_NHLA, before).logical_not(), double.NegativeInfinity);
        return scores_NHLP.softmax(-1, float32).to_type(value_NHPA.dtype).matmul(value_NHPA).MoveToOuterDisposeScope();
    }

    // Whether query l, which has `before` tokens and l queries before it, sees key p: bool (L, P).
    private static Tensor Visible(Tensor query_NHLA, long before) =>
        ones([query_NHLA.shape[2], before + query_NHLA.shape[2]], ScalarType.Bool, query_NHLA.device).tril(before);

    /// <summary>The layer in a plan: its weights as they are now.</summary>
    internal CausalAttentionStep ToStep(RotaryTurns? rotary) => new(heads, queryKeyValue.ToStep(), output.ToStep(), rotary);
}
