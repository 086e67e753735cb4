namespace Microsoft.ML.MoE.Models;

/// <summary>The parts of an image classifier, from the image to the classes.</summary>
[Flags]
public enum ModelParts
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>What makes tokens of an image: patches, positions, class token.</summary>
    Embedding = 1,

    /// <summary>
    /// What makes a pooled vector of the tokens: all blocks, the final norm, and the linear layer with tanh where there is one.
    /// </summary>
    Blocks = 2,

    /// <summary>Everything but the head.</summary>
    Backbone = Embedding | Blocks,

    /// <summary>The layer that reads the classes from the pooled vector.</summary>
    Head = 4,
}
