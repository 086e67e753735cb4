namespace Microsoft.ML.MoE.Models;

/// <summary>What the position embeddings of a Transformer on patches are before training. They are learned from there either way.</summary>
public enum PositionStart
{
    /// <summary>Random numbers, as in the papers: the model has to learn from the images which patches are neighbours.</summary>
    Random,

    /// <summary>
    /// Sines and cosines of row and column, each at a quarter of the width, of wavelengths from 2π to 200π patches: neighbours start alike.
    /// Needs a width that is a multiple of 4. Two-dimensional form of Vaswani et al., arXiv 1706.03762, section 3.5, as in "Better plain
    /// ViT baselines for ImageNet-1k", arXiv 2205.01580, with a lowest frequency that suits the few patches of a side.
    /// </summary>
    SineCosine,
}
