namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Every model that has a name: the published sizes, the ablations of their papers, and small sizes for a CPU and for tests.
/// </summary>
public static class ModelPresets
{
    /// <summary>Image classifiers, published ones first.</summary>
    public static IReadOnlyList<ModelPreset<ImageClassifierConfig>> ImageClassifiers => ImageClassifierPresets.All;

    /// <summary>
    /// Language models, the largest first: each with PEER in the middle block, and beside it the layers that PEER's paper compares with in
    /// the same place.
    /// </summary>
    public static IReadOnlyList<ModelPreset<LanguageModelConfig>> LanguageModels => LanguageModelPresets.All;

    /// <summary>Text encoders, the largest first: BERT, ALBERT and the language variant of WideNet.</summary>
    public static IReadOnlyList<ModelPreset<TextEncoderConfig>> TextEncoders => TextEncoderPresets.All;

    /// <summary>Generalists, the largest first: the sizes of Uni-Perceiver-MoE, and the dense Uni-Perceiver beside them.</summary>
    public static IReadOnlyList<ModelPreset<GeneralistConfig>> Generalists => GeneralistPresets.All;
}
