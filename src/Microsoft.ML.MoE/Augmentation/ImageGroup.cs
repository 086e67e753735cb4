// Axes: N = images of the batch, M = images of the group, C = channels, H = height, W = width.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>Those images of a batch that one operation changes, all at once.</summary>
/// <param name="Members">Their places in the batch.</param>
internal readonly record struct ImageGroup(int[] Members)
{
    /// <summary>The images of a batch for which something holds.</summary>
    public static ImageGroup Of(long images, Func<int, bool> holds) => new([.. Enumerable.Range(0, (int)images).Where(holds)]);

    /// <summary>Changes the members in place.</summary>
    /// <param name="images_NCHW">The batch.</param>
    /// <param name="change">From the members' images to their new ones, (M, C, H, W) both.</param>
    public void Change(Tensor images_NCHW, Func<Tensor, Tensor> change)
    {
        if (Members.Length == 0)
            return;
        using var scope = NewDisposeScope();
        if (Members.Length == images_NCHW.shape[0])
        {
            images_NCHW.copy_(change(images_NCHW));
            return;
        }
        var ids_M = tensor(Members, int64).to(images_NCHW.device);
        images_NCHW.index_copy_(0, ids_M, change(images_NCHW.index_select(0, ids_M)));
    }

    /// <summary>A number for each member, (M, 1, 1, 1), in the type and on the device of the images.</summary>
    public Tensor Numbers(Func<int, double> number, Tensor images_NCHW) =>
        tensor(Array.ConvertAll(Members, n => number(n)), [Members.Length, 1, 1, 1], images_NCHW.dtype).to(images_NCHW.device);
}
