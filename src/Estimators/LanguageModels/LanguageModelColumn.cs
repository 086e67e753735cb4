namespace Microsoft.ML.MoE.Estimators;

/// <summary>A column that a language model may add.</summary>
internal enum LanguageModelColumn
{
    /// <summary>The natural logarithm of the text's probability.</summary>
    LogLikelihood,

    /// <summary>How many tokens it has.</summary>
    TokenCount,

    /// <summary>exp(−log-likelihood / tokens).</summary>
    Perplexity,

    /// <summary>The mean of the last layer.</summary>
    Embedding,

    /// <summary>A text that follows it.</summary>
    Continuation,
}
