// Axes: N = images, S = patches, C = channels.

namespace Microsoft.ML.MoE.Inference;

/// <summary>
/// Rescales patches and channels, each with a norm, a linear layer and GELU: patches first, or channels first.
/// </summary>
/// <param name="patches">Patches before and after.</param>
/// <param name="channels">Channels before and after.</param>
/// <param name="channelsFirst">Whether the channels are projected before the patches.</param>
/// <param name="patchNorm">In front of the projection of patches.</param>
/// <param name="patchProjection">Between numbers of patches.</param>
/// <param name="channelNorm">In front of the projection of channels; null where there is none.</param>
/// <param name="channelProjection">Between numbers of channels; null where there is none.</param>
internal sealed unsafe class RescaleStep(
    (int From, int To) patches,
    (int From, int To) channels,
    bool channelsFirst,
    NormStep patchNorm,
    LinearStep patchProjection,
    NormStep? channelNorm,
    LinearStep? channelProjection)
{
    /// <summary>Numbers of an image afterwards.</summary>
    public int Size => patches.To * channels.To;

    /// <summary>Rescales.</summary>
    /// <param name="workspace">Gives the memory of the result.</param>
    /// <param name="x">Patches (N, S, C).</param>
    /// <param name="images">N.</param>
    public float* Apply(Workspace workspace, float* x, int images) =>
        channelsFirst
            ? ProjectPatches(workspace, ProjectChannels(workspace, x, images, patches.From), images, channels.To)
            : ProjectChannels(workspace, ProjectPatches(workspace, x, images, channels.From), images, patches.To);

    private float* ProjectPatches(Workspace workspace, float* x, int images, int width)
    {
        var result = workspace.Floats((long)images * patches.To * width);
        var mark = workspace.Mark();
        var size = (long)images * patches.From * width;
        float* normed = workspace.Floats(size), turned = workspace.Floats(size);
        var projected = workspace.Floats((long)images * patches.To * width);
        patchNorm.Apply(x, images * patches.From, normed);
        Transposition.Run(normed, images, patches.From, width, turned);
        patchProjection.Apply(workspace, new(turned, patches.From), images * width, projected, patches.To, gelu: true);
        Transposition.Run(projected, images, width, patches.To, result);
        workspace.Release(mark);
        return result;
    }

    private float* ProjectChannels(Workspace workspace, float* x, int images, int rows)
    {
        if (channelProjection is null)
            return x;
        var result = workspace.Floats((long)images * rows * channels.To);
        var mark = workspace.Mark();
        var normed = workspace.Floats((long)images * rows * channels.From);
        channelNorm!.Apply(x, images * rows, normed);
        channelProjection.Apply(workspace, new(normed, channels.From), images * rows, result, channels.To, gelu: true);
        workspace.Release(mark);
        return result;
    }
}
