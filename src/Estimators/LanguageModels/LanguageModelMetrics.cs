namespace Microsoft.ML.MoE.Estimators;

/// <summary>How well a language model predicts texts. Every token of every text is predicted once; empty texts count as none.</summary>
/// <param name="Documents">Texts with at least one token.</param>
/// <param name="Tokens">Their tokens.</param>
/// <param name="Bytes">Their length in UTF-8.</param>
/// <param name="LogLikelihood">Sum of the natural logarithms of the tokens' probabilities.</param>
/// <param name="Layers">How the sparse layers used their experts, in the order of the blocks.</param>
public sealed record LanguageModelMetrics(
    long Documents, long Tokens, long Bytes, double LogLikelihood, IReadOnlyList<SparseLayerUsage> Layers)
{
    /// <summary>Mean loss in nats per token.</summary>
    public double Loss => -LogLikelihood / Tokens;

    /// <summary>exp of the loss: among how many tokens the model wavers.</summary>
    public double Perplexity => Math.Exp(Loss);

    /// <summary>Bits that the model needs for a byte of UTF-8: comparable between tokenizers.</summary>
    public double BitsPerByte => -LogLikelihood / Math.Log(2) / Bytes;
}
