// Axes: N = images, C = channels, H = image height, W = image width, P = patch size, L = (H/P)·(W/P) patches, D = model width.

namespace Microsoft.ML.MoE.Inference;

/// <summary>Cuts images into patches and embeds them.</summary>
/// <param name="patchSize">P.</param>
/// <param name="projection">C·P·P to D.</param>
internal sealed unsafe class PatchStep(int patchSize, LinearStep projection) : EmbeddingStep
{
    /// <inheritdoc/>
    public override void AddTo(
        Workspace workspace, float* images, (int Images, int Channels, int Height, int Width) shape, float* y, int rowsOfImage)
    {
        var mark = workspace.Mark();
        var (count, channels, height, width) = shape;
        var (inputs, outputs) = (projection.Inputs, projection.Outputs);
        var patches = height / patchSize * (width / patchSize);
        var rows = workspace.Floats((long)count * patches * inputs);
        for (var image = 0; image < count; image++)
            Cut(images + ((nint)image * channels * height * width), channels, height, width, rows + ((nint)image * patches * inputs));
        if (rowsOfImage == patches)
        {
            projection.AddTo(workspace, new(rows, inputs), count * patches, y, outputs);
        }
        else
        {
            for (var image = 0; image < count; image++)
                projection.AddTo(
                    workspace,
                    new(rows + ((nint)image * patches * inputs), inputs),
                    patches,
                    y + ((nint)image * rowsOfImage * outputs),
                    outputs);
        }
        workspace.Release(mark);
    }

    // (C, H, W) -> (L, C·P·P).
    private void Cut(float* image, int channels, int height, int width, float* rows)
    {
        for (var top = 0; top < height; top += patchSize)
        {
            for (var left = 0; left < width; left += patchSize)
            {
                for (var channel = 0; channel < channels; channel++)
                {
                    var source = image + (((nint)channel * height) + top) * width + left;
                    for (var line = 0; line < patchSize; line++, source += width, rows += patchSize)
                    {
                        for (var i = 0; i < patchSize; i++)
                            rows[i] = source[i];
                    }
                }
            }
        }
    }
}
