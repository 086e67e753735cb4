// Axes: N = images, S = patches, C = channels.

namespace Microsoft.ML.MoE.Inference;

/// <summary>
/// A block of a Mixer on S patches of C channels: x = Enter(x); x = x + T(spatial(T(norm(x)))); x = x + channel(norm'(x)); x = Leave(x).
/// </summary>
/// <param name="patches">S between entering and leaving.</param>
/// <param name="channels">C between entering and leaving.</param>
/// <param name="spatialNorm">In front of the spatial layer.</param>
/// <param name="spatial">Vectors over patches to such.</param>
/// <param name="channelNorm">In front of the channel layer.</param>
/// <param name="channel">Vectors over channels to such.</param>
internal sealed unsafe class MixerStep(
    int patches,
    int channels,
    NormStep spatialNorm,
    TokenStep spatial,
    NormStep channelNorm,
    TokenStep channel)
{
    /// <summary>Rescales on the way in; null for nothing.</summary>
    public RescaleStep? Enter { get; init; }

    /// <summary>Rescales on the way out; null for nothing.</summary>
    public RescaleStep? Leave { get; init; }

    /// <summary>Computes a block in place.</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="x">Patches as they are outside of the block, (N, S, C).</param>
    /// <param name="images">N.</param>
    public void Apply(Workspace workspace, float* x, int images)
    {
        var mark = workspace.Mark();
        var inner = Enter is null ? x : Enter.Apply(workspace, x, images);
        Mix(workspace, inner, images);
        if (Leave is { } leave)
        {
            var result = leave.Apply(workspace, inner, images);
            new ReadOnlySpan<float>(result, leave.Size * images).CopyTo(new(x, leave.Size * images));
        }
        workspace.Release(mark);
    }

    private void Mix(Workspace workspace, float* x, int images)
    {
        var size = (long)images * patches * channels;
        float* normed = workspace.Floats(size), turned = workspace.Floats(size);
        spatialNorm.Apply(x, images * patches, normed);
        Transposition.Run(normed, images, patches, channels, turned);
        new Span<float>(normed, checked((int)size)).Clear();
        spatial.AddTo(workspace, turned, images * channels, images, normed);
        Transposition.Run(normed, images, channels, patches, x, add: true);

        channelNorm.Apply(x, images * patches, normed);
        channel.AddTo(workspace, normed, images * patches, images, x);
    }
}
