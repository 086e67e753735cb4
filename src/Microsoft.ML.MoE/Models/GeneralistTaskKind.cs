namespace Microsoft.ML.MoE.Models;

/// <summary>What a task of a <see cref="Generalist"/> asks for. Tasks of one kind share a temperature.</summary>
public enum GeneralistTaskKind
{
    /// <summary>The name of an image's class.</summary>
    ImageClassification,

    /// <summary>The name of a video's class.</summary>
    VideoClassification,

    /// <summary>The label of a text.</summary>
    TextClassification,

    /// <summary>The text that belongs to an image, and the image that belongs to a text.</summary>
    ImageTextRetrieval,

    /// <summary>The words of a text that are masked.</summary>
    MaskedLanguageModel,

    /// <summary>The next word of an image's description.</summary>
    ImageCaption,
}
