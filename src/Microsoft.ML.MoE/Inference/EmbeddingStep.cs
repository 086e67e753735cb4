// Axes: N = images, C = channels, H = image height, W = image width, L = tokens of an image, D = model width.

namespace Microsoft.ML.MoE.Inference;

/// <summary>Makes tokens of images.</summary>
internal abstract unsafe class EmbeddingStep
{
    /// <summary>y = y + the tokens of the images.</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="images">(N, C, H, W).</param>
    /// <param name="shape">Images, channels, height and width.</param>
    /// <param name="y">The first token's row of the first image.</param>
    /// <param name="rowsOfImage">Rows of D numbers from one image to the next, at least L.</param>
    public abstract void AddTo(
        Workspace workspace, float* images, (int Images, int Channels, int Height, int Width) shape, float* y, int rowsOfImage);
}
