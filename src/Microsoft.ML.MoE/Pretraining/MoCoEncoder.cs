// Axes: N = images of a view, C = channels, H = height, W = width, D = width of the pooled vector, O = width of what is compared.

using Microsoft.ML.MoE.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Pretraining;

/// <summary>An image classifier up to its pooled vector, with a projection head: one of the two encoders of MoCo.</summary>
internal sealed class MoCoEncoder : nn.Module
{
    private readonly ImageClassifier backbone;
    private readonly MoCoHead projector;

    public MoCoEncoder(ImageClassifier backbone, MoCoOptions options, Device device) : base(nameof(MoCoEncoder))
    {
        this.backbone = backbone;
        projector = new MoCoHead(backbone.Config.FeatureWidth, options.HiddenWidth, options.OutputWidth, depth: 3, device);
        RegisterComponents();
    }

    /// <summary>The projection head.</summary>
    public MoCoHead Projector => projector;

    /// <summary>The parameters of the patches' embedding.</summary>
    public IEnumerable<TorchSharp.Modules.Parameter> PatchEmbedding =>
        backbone
            .named_parameters()
            .Where(pair => pair.name.StartsWith("patches.", StringComparison.Ordinal))
            .Select(pair => pair.parameter);

    /// <summary>Projects two views of the same images. The heads normalise each view by itself.</summary>
    /// <param name="views_NCHW">The first views, then the second ones, (2N, C, H, W).</param>
    public (Tensor First_NO, Tensor Second_NO, ImageClassifierOutput Output) Project(Tensor views_NCHW)
    {
        var output = backbone.call(views_NCHW);
        var halves = output.Features_ND.chunk(2, 0);
        return (projector.forward(halves[0]), projector.forward(halves[1]), output);
    }
}
