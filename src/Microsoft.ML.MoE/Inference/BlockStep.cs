namespace Microsoft.ML.MoE.Inference;

/// <summary>A block of a Transformer: x = x + attention(norm(x)); x = x + slot(slotNorm(x)).</summary>
/// <param name="Norm">In front of the attention.</param>
/// <param name="Attention">The attention.</param>
/// <param name="SlotNorm">In front of the feed-forward layer.</param>
/// <param name="Slot">The feed-forward layer.</param>
/// <param name="Reuse">Whether the slot, a mixture, takes over the experts of the block before, and from where the weights come.</param>
internal sealed record BlockStep(
    NormStep Norm, AttentionStep Attention, NormStep SlotNorm, TokenStep Slot, RouteReuse Reuse = RouteReuse.None);
