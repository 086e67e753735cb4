namespace Microsoft.ML.MoE.Estimators;

/// <summary>Names of the columns that a generalist reads and adds.</summary>
internal sealed record GeneralistColumns
{
    /// <summary>Column of the images.</summary>
    public required string Image { get; init; }

    /// <summary>Column of the videos.</summary>
    public required string Video { get; init; }

    /// <summary>Column of the texts.</summary>
    public required string Text { get; init; }

    /// <summary>Column of the second text of a pair.</summary>
    public required string SecondText { get; init; }

    /// <summary>Column of the class.</summary>
    public required string Label { get; init; }

    /// <summary>Column of the predicted class.</summary>
    public required string PredictedLabel { get; init; }

    /// <summary>Column of the probabilities.</summary>
    public required string Score { get; init; }

    /// <summary>Column of the representation of what is classified; null for none.</summary>
    public string? Embedding { get; init; }

    /// <summary>Column of a picture's representation, for retrieval.</summary>
    public required string PictureEmbedding { get; init; }

    /// <summary>Column of a text's representation, for retrieval.</summary>
    public required string TextEmbedding { get; init; }

    /// <summary>Column of descriptions, continuations, and texts whose masks are filled in.</summary>
    public required string PredictedText { get; init; }
}
