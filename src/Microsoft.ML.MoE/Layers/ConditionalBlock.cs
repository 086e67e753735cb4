// A pre-LayerNorm Transformer block whose linear layers may be experts. Uni-Perceiver-MoE, arXiv 2206.04674, section 4.2; LayerScale: arXiv
// 2103.17239.
//
//     x = x + γ₁ · DropPath(Attention(LN₁(x)));   x = x + γ₂ · DropPath(FFN(LN₂(x)))
//
// Axes: N = sequences, L = tokens of a sequence, D = model width, H = heads, A = D/H, R = roles, P = prompts, X = 3D.

using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// Attention and a feed-forward network. One gate decides for the two layers of the attention, one for the two of the network.
/// </summary>
internal sealed class ConditionalBlock : nn.Module
{
    private readonly int heads;
    private readonly LayerNorm attentionNorm;
    private readonly ConditionalRouter? attentionRouter;
    private readonly ConditionalLinear queryKeyValue;
    private readonly ConditionalLinear attentionOutput;
    private readonly LayerNorm feedForwardNorm;
    private readonly ConditionalRouter? feedForwardRouter;
    private readonly ConditionalLinear expand;
    private readonly ConditionalLinear contract;
    private readonly DropPath dropPath;

    [ComponentName(Name = "attentionScale")]
    private readonly Parameter gamma1_D;

    [ComponentName(Name = "feedForwardScale")]
    private readonly Parameter gamma2_D;

    /// <summary>Makes a block.</summary>
    /// <param name="options">Widths, heads, experts.</param>
    /// <param name="dropPathProbability">Probability that a sequence leaves a branch out, while training.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public ConditionalBlock(ConditionalBlockOptions options, double dropPathProbability, Device? device = null)
        : base(nameof(ConditionalBlock))
    {
        options.Validate();
        heads = options.Heads;
        attentionNorm = new LayerNorm(options.Width, device: device);
        queryKeyValue = new ConditionalLinear(options.Width, 3L * options.Width, options.Experts, device, hiddenLayers: 3);
        attentionOutput = new ConditionalLinear(options.Width, options.Width, options.Experts, device);
        feedForwardNorm = new LayerNorm(options.Width, device: device);
        expand = new ConditionalLinear(options.Width, options.FeedForwardWidth, options.Experts, device);
        contract = new ConditionalLinear(options.FeedForwardWidth, options.Width, options.Experts, device);
        if (options.Experts is { } experts)
        {
            attentionRouter = new ConditionalRouter(options.RoutingLevel, options.Width, experts, options.ExpertsPerToken, device);
            feedForwardRouter = new ConditionalRouter(options.RoutingLevel, options.Width, experts, options.ExpertsPerToken, device);
        }
        gamma1_D = new Parameter(Filled([options.Width], options.LayerScale, float32, device));
        gamma2_D = new Parameter(Filled([options.Width], options.LayerScale, float32, device));
        dropPath = new DropPath(dropPathProbability);
        RegisterComponents();
    }

    /// <summary>Applies the block.</summary>
    /// <param name="x_NLD">Tokens, float32 (N, L, D).</param>
    /// <param name="context">What else is known of them.</param>
    /// <param name="prompts_PD">Vectors that every token sees besides, in the role of the first tokens, float32 (P, D); null for none. They
    /// are keys and values only, and come out nowhere.</param>
    /// <returns>Tokens, and what the gates decided: none in a dense block.</returns>
    public (Tensor Output_NLD, IReadOnlyList<ConditionalRouting> Routings) Apply(
        Tensor x_NLD, SequenceContext context, Tensor? prompts_PD = null)
    {
        using var scope = NewDisposeScope();
        var (attended_NLD, attending) = Attend(x_NLD, context, prompts_PD);
        x_NLD = x_NLD.Plus(attended_NLD);
        var (mixed_NLD, feeding) = Mix(x_NLD, context);
        x_NLD = x_NLD.Plus(mixed_NLD);
        return (
            x_NLD.MoveToOuterDisposeScope(),
            attending is null ? [] : [attending.MoveToOuterDisposeScope(), feeding!.MoveToOuterDisposeScope()]);
    }

    // γ₁ · DropPath(Attention(LN₁(x)))
    private (Tensor, ConditionalRouting?) Attend(Tensor x_NLD, SequenceContext context, Tensor? prompts_PD)
    {
        var normed_NLD = attentionNorm.forward(x_NLD);
        var routing = Route(attentionRouter, normed_NLD, context);
        var prompts_1PX = prompts_PD is null ? null : Project(prompts_PD.unsqueeze(0), context, routing);
        var mixed_NLD = Attention(
            queryKeyValue.Apply(normed_NLD, context.Layout, routing, context.Merged), prompts_1PX, context.Visible_NLL);
        return (dropPath.forward(attentionOutput.Apply(mixed_NLD, context.Layout, routing, context.Merged)) * gamma1_D, routing);
    }

    // γ₂ · DropPath(FFN(LN₂(x)))
    private (Tensor, ConditionalRouting?) Mix(Tensor x_NLD, SequenceContext context)
    {
        var normed_NLD = feedForwardNorm.forward(x_NLD);
        var routing = Route(feedForwardRouter, normed_NLD, context);
        var hidden_NLF = nn.functional.gelu(expand.Apply(normed_NLD, context.Layout, routing, context.Merged));
        return (dropPath.forward(contract.Apply(hidden_NLF, context.Layout, routing, context.Merged)) * gamma2_D, routing);
    }

    private static ConditionalRouting? Route(ConditionalRouter? router, Tensor x_NLD, SequenceContext context) =>
        router?.Route(x_NLD, context.Roles_RD, context.Mask_NL, context.Visible_NLL);

    // Where roles are routed, prompts go to the experts of the first role; else each goes to its own.
    private Tensor Project(Tensor prompts_1PD, SequenceContext context, ConditionalRouting? attending)
    {
        using var scope = NewDisposeScope();
        var ofPrompts = attending?.Plan is null ? attending : attentionRouter!.Route(prompts_1PD, context.Roles_RD, mask_NL: null);
        var layout = new SequenceLayout(new SequencePart(context.Layout.Roles[0], prompts_1PD.shape[1]));
        return queryKeyValue.Apply(prompts_1PD, layout, ofPrompts, context.Merged).MoveToOuterDisposeScope();
    }

    private Tensor Attention(Tensor qkv_NLX, Tensor? prompts_1PX, Tensor? visible_NLL)
    {
        using var scope = NewDisposeScope();
        var (sequences, length, width) = (qkv_NLX.shape[0], qkv_NLX.shape[1], qkv_NLX.shape[2] / 3);
        // (N, L, 3D) -> 3 × (N, H, L, A).
        var parts = qkv_NLX.view(sequences, length, 3, heads, width / heads).permute(2, 0, 3, 1, 4).unbind(0);
        var (keys_NHLA, values_NHLA) = (parts[1], parts[2]);
        if (prompts_1PX is not null)
        {
            // (1, P, 3D) -> 3 × (1, H, P, A).
            var ofPrompts = prompts_1PX.view(1, -1, 3, heads, width / heads).permute(2, 0, 3, 1, 4).unbind(0);
            var count = prompts_1PX.shape[1];
            keys_NHLA = cat([ofPrompts[1].expand(sequences, heads, count, -1), keys_NHLA], 2);
            values_NHLA = cat([ofPrompts[2].expand(sequences, heads, count, -1), values_NHLA], 2);
            if (visible_NLL is not null)
                visible_NLL = cat([ones([visible_NLL.shape[0], length, count], @bool, visible_NLL.device), visible_NLL], 2);
        }
        var mixed_NHLA = nn.functional.scaled_dot_product_attention(parts[0], keys_NHLA, values_NHLA, attn_mask: visible_NLL?.unsqueeze(1));
        return mixed_NHLA.transpose(1, 2).reshape(sequences, length, width).MoveToOuterDisposeScope();   // (N, H, L, A) -> (N, L, D)
    }
}
