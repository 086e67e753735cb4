namespace Microsoft.ML.MoE.Objectives;

/// <summary>What a language model makes of a document.</summary>
/// <param name="LogLikelihood">Sum of the natural logarithms of the probabilities of its tokens, each given those before it and a separator
/// before the first; 0 for none.</param>
/// <param name="TokenCount">Number of tokens.</param>
/// <param name="Embedding">Mean of the last layer over the separator and the tokens, one number for each of the model's width; null where
/// it was not asked for.</param>
internal sealed record DocumentScore(double LogLikelihood, int TokenCount, float[]? Embedding)
{
    /// <summary>exp(−log-likelihood / tokens); NaN without tokens.</summary>
    public double Perplexity => Math.Exp(-LogLikelihood / TokenCount);
}
