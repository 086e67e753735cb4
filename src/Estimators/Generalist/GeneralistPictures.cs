// Axes: N = pictures, F = frames, C = channels, H = height, W = width.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How images, or videos, become the model's input.</summary>
/// <param name="Column">The column that they come from.</param>
/// <param name="Normalization">Measured on the training data.</param>
internal sealed record GeneralistPictures(PictureColumn Column, PixelNormalization Normalization)
{
    /// <summary>Normalised images, float32 (N, C, H, W), or videos, (N, F, C, H, W), in the caller's dispose scope.</summary>
    /// <param name="pictures">What a reader of the column wrote, at least one.</param>
    /// <param name="device">Where the tensor lies.</param>
    public Tensor ToTensor(IReadOnlyList<byte[]> pictures, Device device)
    {
        using var scope = NewDisposeScope();
        var (frames, bytes) = (Column.Frames ?? 1, Column.Frame.ByteCount);
        using var buffer = new ImageBuffer(Column.Frame, pictures.Count * frames);
        for (var image = 0; image < buffer.Capacity; image++)
            pictures[image / frames].AsSpan(image % frames * bytes, bytes).CopyTo(buffer[image]);
        GC.KeepAlive(buffer);
        using var numbers_NCHW = buffer.First(buffer.Capacity);
        var all_NCHW = Normalization.Apply(numbers_NCHW, device);
        return (
            Column.Frames is null ? all_NCHW : all_NCHW.view([pictures.Count, frames, .. all_NCHW.shape.AsSpan(1)])
        ).MoveToOuterDisposeScope();
    }
}
