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

    /// <summary>The label of two texts: whether they mean the same, say.</summary>
    TextPairClassification,

    /// <summary>The text that belongs to an image, and the image that belongs to a text.</summary>
    ImageTextRetrieval,

    /// <summary>The text that belongs to a video, and the video that belongs to a text.</summary>
    VideoTextRetrieval,

    /// <summary>The words of a text that are masked, from those on both sides.</summary>
    MaskedLanguageModel,

    /// <summary>Every word of a text from those before it.</summary>
    CausalLanguageModel,

    /// <summary>Every word of an image's description from the image and the words before it.</summary>
    ImageCaption,

    /// <summary>Every word of a video's description from the video and the words before it.</summary>
    VideoCaption,
}
