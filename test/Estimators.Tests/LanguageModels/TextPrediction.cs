namespace Estimators.Tests.LanguageModels;

/// <summary>What a language model adds to a row.</summary>
internal sealed class TextPrediction
{
    public int Id { get; set; }

    public float LogLikelihood { get; set; }

    public int TokenCount { get; set; }

    public float Perplexity { get; set; }

    public float[] Embedding { get; set; } = [];

    public string Continuation { get; set; } = "";
}
