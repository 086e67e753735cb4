using Microsoft.ML.MoE.Inference;

namespace Microsoft.ML.MoE.Layers;

/// <summary>A layer that makes tokens of images.</summary>
internal interface IImageEmbedding
{
    /// <summary>The layer in a plan: its weights as they are now.</summary>
    EmbeddingStep ToStep();
}
