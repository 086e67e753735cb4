// Position embeddings for another number of patches. ViT, arXiv 2010.11929, section 3.2.
//
// Axes: L = tokens of an image: those before the patches, then the patches row by row, D = model width, H = rows of patches, W = patches of
// a row.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>Moves learned position embeddings from one grid of patches to another.</summary>
internal static class PositionGrid
{
    /// <summary>
    /// Interpolates the patches' embeddings bicubically (a = −0.75, the pixels' centres as in image resizing, values beyond the border as
    /// at it); what stands before the patches, a class token, has no place and keeps its embedding.
    /// </summary>
    /// <param name="positions_1LD">The embeddings, float32 (1, L, D).</param>
    /// <param name="from">Rows and columns of patches that they are for.</param>
    /// <param name="to">Rows and columns of patches that they shall be for.</param>
    /// <returns>(1, L − from + to, D); the embeddings themselves where the grids are the same.</returns>
    public static Tensor Resize(Tensor positions_1LD, (int Rows, int Columns) from, (int Rows, int Columns) to)
    {
        if (from == to)
            return positions_1LD.alias();
        using var scope = NewDisposeScope();
        var (patches, width) = (from.Rows * from.Columns, positions_1LD.shape[2]);
        var before = positions_1LD.shape[1] - patches;
        var grid_1DHW = positions_1LD.narrow(1, before, patches).view(1, from.Rows, from.Columns, width).permute(0, 3, 1, 2);
        var resized_1DHW = nn.functional.interpolate(
            grid_1DHW, size: [to.Rows, to.Columns], mode: InterpolationMode.Bicubic, align_corners: false);
        var resized_1LD = resized_1DHW.permute(0, 2, 3, 1).reshape(1, to.Rows * to.Columns, width);   // (1, D, H, W) -> (1, L, D)
        return cat([positions_1LD.narrow(1, 0, before), resized_1LD], 1).MoveToOuterDisposeScope();
    }
}
