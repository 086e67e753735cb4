// Axes: N = images, C = channels, H = height, W = width, L = patches, D = model width.

using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>Cuts images into patches and embeds each.</summary>
internal sealed record TorchPatches(TorchLinear Projection, int Side)
{
    public Tensor Apply(Tensor images_NCHW)
    {
        using var scope = NewDisposeScope();
        var (images, channels) = (images_NCHW.shape[0], images_NCHW.shape[1]);
        var (rows, columns) = (images_NCHW.shape[2] / Side, images_NCHW.shape[3] / Side);
        var patches_NLX = images_NCHW.view(images, channels, rows, Side, columns, Side)
            .permute(0, 2, 4, 1, 3, 5)
            .reshape(images, rows * columns, channels * Side * Side);
        return Projection.Apply(patches_NLX).MoveToOuterDisposeScope();
    }
}
