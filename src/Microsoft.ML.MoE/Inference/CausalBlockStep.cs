namespace Microsoft.ML.MoE.Inference;

/// <summary>A block of a language model: x = x + attention(norm(x)); x = x + slot(slotNorm(x)).</summary>
/// <param name="Norm">In front of the attention.</param>
/// <param name="Attention">The attention.</param>
/// <param name="SlotNorm">In front of the feed-forward layer.</param>
/// <param name="Slot">The feed-forward layer.</param>
internal sealed record CausalBlockStep(NormStep Norm, CausalAttentionStep Attention, NormStep SlotNorm, TokenStep Slot);
