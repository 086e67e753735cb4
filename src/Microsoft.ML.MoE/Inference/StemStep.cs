// Axes: N = images, C = channels, H = image height, W = image width, L = tokens of an image, D = model width.

namespace Microsoft.ML.MoE.Inference;

/// <summary>Makes tokens of images with convolutions, an image after the other.</summary>
/// <param name="convolutions">The convolutions, from the image on.</param>
internal sealed unsafe class StemStep(IReadOnlyList<ConvolutionStep> convolutions) : EmbeddingStep
{
    /// <inheritdoc/>
    public override void AddTo(
        Workspace workspace, float* images, (int Images, int Channels, int Height, int Width) shape, float* y, int rowsOfImage)
    {
        var (count, channels, height, width) = shape;
        var rowsOfNext = (nint)rowsOfImage * convolutions[^1].Outputs;
        for (var image = 0; image < count; image++, images += (nint)channels * height * width, y += rowsOfNext)
        {
            var mark = workspace.Mark();
            Embed(workspace, images, (channels, height, width), y);
            workspace.Release(mark);
        }
    }

    private void Embed(Workspace workspace, float* image, (int Channels, int Height, int Width) shape, float* y)
    {
        var (channels, height, width) = shape;
        var x = Bordered(workspace, height, width, channels);
        Transpose(image, shape, Inside(x, width, channels), (nint)(width + 2) * channels);
        for (var i = 0; i < convolutions.Count; i++)
        {
            var convolution = convolutions[i];
            var (lines, places, outputs) = (convolution.Shrunk(height), convolution.Shrunk(width), convolution.Outputs);
            if (i == convolutions.Count - 1)
            {
                convolution.Apply(workspace, x, height, width, y, (nint)places * outputs, add: true);
                return;
            }
            var next = Bordered(workspace, lines, places, outputs);
            convolution.Apply(
                workspace, x, height, width, Inside(next, places, outputs), (nint)(places + 2) * outputs, add: false);
            x = next;
            (height, width) = (lines, places);
        }
    }

    private static float* Bordered(Workspace workspace, int height, int width, int channels)
    {
        var count = ConvolutionStep.Bordered(height, width, channels);
        var x = workspace.Floats(count);
        new Span<float>(x, checked((int)count)).Clear();
        return x;
    }

    private static float* Inside(float* x, int width, int channels) => x + (nint)(width + 3) * channels;

    // (C, H, W) -> (H, W, C), the lines of the result apart.
    private static void Transpose(float* image, (int Channels, int Height, int Width) shape, float* y, nint lineOfY)
    {
        var (channels, height, width) = shape;
        for (var channel = 0; channel < channels; channel++)
        {
            for (var line = 0; line < height; line++, image += width)
            {
                var target = y + (line * lineOfY) + channel;
                for (var i = 0; i < width; i++)
                    target[(nint)i * channels] = image[i];
            }
        }
    }
}
