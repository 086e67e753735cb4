namespace Microsoft.ML.MoE.Estimators;

/// <summary>A column that a task of a generalist adds.</summary>
internal enum GeneralistColumn
{
    /// <summary>The key of the nearest class.</summary>
    PredictedLabel,

    /// <summary>The probabilities of the classes.</summary>
    Score,

    /// <summary>The representation of what is classified.</summary>
    Embedding,

    /// <summary>The representation of a picture, as long as 1.</summary>
    PictureEmbedding,

    /// <summary>The representation of a text as a target, as long as 1.</summary>
    TextEmbedding,

    /// <summary>A description, a continuation, or a text whose masks are filled in.</summary>
    PredictedText,
}
