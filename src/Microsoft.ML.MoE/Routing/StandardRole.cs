namespace Microsoft.ML.MoE.Routing;

/// <summary>The roles that tokens have in the paper's tasks, one a row of <see cref="AttributeTable"/>.</summary>
public enum StandardRole
{
    /// <summary>The image or video that is classified.</summary>
    ClassifiedPicture,

    /// <summary>The name of a class of images or videos.</summary>
    ClassName,

    /// <summary>The text that is classified, or whose masked words are found.</summary>
    Text,

    /// <summary>A word of the vocabulary, or the label of a text.</summary>
    Word,

    /// <summary>The image or video that is described.</summary>
    DescribedPicture,

    /// <summary>The description so far, each of whose words sees those before it.</summary>
    Description,

    /// <summary>The image or video that a text is looked for, or the other way round.</summary>
    RetrievedPicture,

    /// <summary>The text that an image or video is looked for, or the other way round.</summary>
    RetrievedText,

    /// <summary>
    /// A text on its own, each of whose words sees those before it. Not in the paper's table; its bits follow from what they mean.
    /// </summary>
    CausalText,
}
