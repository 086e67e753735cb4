// Cuts images into square patches and embeds each linearly. ViT, arXiv 2010.11929, equation 1.
//
// Axes: N = images, C = channels, H = image height, W = image width, P = patch size, L = (H/P)·(W/P) patches, D = model width.

using Microsoft.ML.MoE.Inference;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>Splits an image into L non-overlapping P×P patches, row by row, and maps each to a vector of the model's width.</summary>
internal sealed class PatchEmbedding : nn.Module<Tensor, Tensor>, IImageEmbedding
{
    private readonly int patchSize;
    private readonly ScalarType computeType;
    private readonly Dense projection;

    /// <summary>Makes an embedding.</summary>
    /// <param name="channels">Channels C of an image.</param>
    /// <param name="patchSize">Side P of a patch in pixels.</param>
    /// <param name="width">Model width D.</param>
    /// <param name="computeType">Type of the matrix product; float32 by default.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public PatchEmbedding(int channels, int patchSize, int width, ScalarType computeType = ScalarType.Float32, Device? device = null)
        : base(nameof(PatchEmbedding))
    {
        this.patchSize = patchSize;
        this.computeType = computeType;
        projection = new Dense((long)channels * patchSize * patchSize, width, device) { HiddenLayers = 0 };
        RegisterComponents();
    }

    /// <summary>Embeds a batch.</summary>
    /// <param name="images_NCHW">Images, float32 (N, C, H, W); H and W multiples of the patch size.</param>
    /// <returns>Patches, float32 (N, L, D).</returns>
    public override Tensor forward(Tensor images_NCHW)
    {
        using var scope = NewDisposeScope();
        var (images, channels) = (images_NCHW.shape[0], images_NCHW.shape[1]);
        var (rows, columns) = (images_NCHW.shape[2] / patchSize, images_NCHW.shape[3] / patchSize);
        var patches_NLX = images_NCHW.to_type(computeType)
            .view(images, channels, rows, patchSize, columns, patchSize)
            .permute(0, 2, 4, 1, 3, 5)
            .reshape(images, rows * columns, channels * patchSize * patchSize);   // (N, C, H, W) -> (N, L, C·P·P)
        return projection.forward(patches_NLX).to_type(float32).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public EmbeddingStep ToStep() => new PatchStep(patchSize, projection.ToStep());
}
