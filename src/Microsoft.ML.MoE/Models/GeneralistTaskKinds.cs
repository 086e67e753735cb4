using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Models;

/// <summary>What follows from a <see cref="GeneralistTaskKind"/>.</summary>
public static class GeneralistTaskKinds
{
    /// <summary>Whether the answer is one of some classes that have names.</summary>
    /// <param name="kind">The kind.</param>
    public static bool IsClassification(this GeneralistTaskKind kind) =>
        kind
            is GeneralistTaskKind.ImageClassification
                or GeneralistTaskKind.VideoClassification
                or GeneralistTaskKind.TextClassification
                or GeneralistTaskKind.TextPairClassification;

    /// <summary>Whether pictures and texts are looked for that belong together.</summary>
    /// <param name="kind">The kind.</param>
    public static bool IsRetrieval(this GeneralistTaskKind kind) =>
        kind is GeneralistTaskKind.ImageTextRetrieval or GeneralistTaskKind.VideoTextRetrieval;

    /// <summary>Whether a picture is described.</summary>
    /// <param name="kind">The kind.</param>
    public static bool IsCaption(this GeneralistTaskKind kind) =>
        kind is GeneralistTaskKind.ImageCaption or GeneralistTaskKind.VideoCaption;

    /// <summary>Whether the answers are tokens of the vocabulary.</summary>
    /// <param name="kind">The kind.</param>
    internal static bool PredictsTokens(this GeneralistTaskKind kind) =>
        kind.IsCaption() || kind is GeneralistTaskKind.MaskedLanguageModel or GeneralistTaskKind.CausalLanguageModel;

    /// <summary>What the input is.</summary>
    /// <param name="kind">The kind.</param>
    internal static TokenModality InputModality(this GeneralistTaskKind kind) =>
        kind switch
        {
            GeneralistTaskKind.ImageClassification or GeneralistTaskKind.ImageTextRetrieval or GeneralistTaskKind.ImageCaption =>
                TokenModality.Image,
            GeneralistTaskKind.VideoClassification or GeneralistTaskKind.VideoTextRetrieval or GeneralistTaskKind.VideoCaption =>
                TokenModality.Video,
            _ => TokenModality.Text,
        };
}
