namespace Estimators.Tests.Scoring.Contract;

/// <summary>Every column that a transformer of the project adds.</summary>
public sealed class AddedColumns
{
    public uint PredictedLabel { get; set; }

    public float[] Score { get; set; } = [];

    public float[] Embedding { get; set; } = [];

    public float[] PictureEmbedding { get; set; } = [];

    public float[] TextEmbedding { get; set; } = [];

    public string PredictedText { get; set; } = "";

    public float LogLikelihood { get; set; }

    public int TokenCount { get; set; }

    public float Perplexity { get; set; }

    public string Continuation { get; set; } = "";
}
