// Axes: N = images, H = height, W = width.

using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// A rectangle of an image in pixels: rows from <see cref="Top"/> to below <see cref="Bottom"/>, columns from <see cref="Left"/> to below
/// <see cref="Right"/>.
/// </summary>
internal readonly record struct ImageBox(int Top, int Bottom, int Left, int Right)
{
    /// <summary>Pixels inside.</summary>
    public long Area => (long)(Bottom - Top) * (Right - Left);

    /// <summary>Which pixels lie in each image's box: bool (N, 1, H, W).</summary>
    public static Tensor Mask(ImageBox[] boxes, long height, long width, Device device)
    {
        using var scope = NewDisposeScope();
        var edges_4N11 = tensor(
                [
                    .. boxes.Select(box => box.Top),
                    .. boxes.Select(box => box.Bottom),
                    .. boxes.Select(box => box.Left),
                    .. boxes.Select(box => box.Right),
                ],
                [4, boxes.Length, 1, 1],
                int32)
            .to(device);
        var row_H1 = Range(height, int32, device).unsqueeze(1);
        var column_W = Range(width, int32, device);
        var inRows_NH1 = row_H1.ge(edges_4N11[0]) & row_H1.lt(edges_4N11[1]);
        var inColumns_N1W = column_W.ge(edges_4N11[2]) & column_W.lt(edges_4N11[3]);
        return (inRows_NH1 & inColumns_N1W).unsqueeze(1).MoveToOuterDisposeScope();
    }
}
