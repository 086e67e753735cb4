namespace Microsoft.ML.MoE.Routing;

/// <summary>What a token was made of.</summary>
public enum TokenModality
{
    /// <summary>A piece of text.</summary>
    Text,

    /// <summary>A patch of an image.</summary>
    Image,

    /// <summary>A patch of a video's frame.</summary>
    Video,
}
