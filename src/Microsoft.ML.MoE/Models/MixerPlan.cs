// Axes: N = images, C = channels or classes, S = patches, D = model width.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Kernels;

namespace Microsoft.ML.MoE.Models;

/// <summary>The plan of a <see cref="MixerClassifier"/>.</summary>
/// <param name="config">Its configuration.</param>
/// <param name="patches">Embeds patches.</param>
/// <param name="blocks">The blocks.</param>
/// <param name="finalNorm">Behind them.</param>
/// <param name="pooling">Makes a vector of the patches; null for their mean.</param>
/// <param name="classes">The head.</param>
internal sealed unsafe class MixerPlan(
    MixerClassifierConfig config,
    EmbeddingStep patches,
    MixerStep[] blocks,
    NormStep finalNorm,
    AttentionPoolingStep? pooling,
    LinearStep classes)
    : ImageClassifierPlan(config)
{
    private protected override int NumbersOfImage => config.Patches * config.Width;

    private protected override void Run(Workspace workspace, float* pixels_NCHW, int images, float* logits_NC, float* features_ND)
    {
        var (rows, width) = (config.Patches, config.Width);
        var x = workspace.Floats((long)images * rows * width);
        new Span<float>(x, images * rows * width).Clear();
        patches.AddTo(workspace, pixels_NCHW, (images, config.Channels, config.ImageHeight, config.ImageWidth), x, rows);
        foreach (var block in blocks)
            block.Apply(workspace, x, images);
        finalNorm.Apply(x, images * rows, x);
        for (var image = 0; image < images; image++)
        {
            var feature = features_ND + ((nint)image * width);
            if (pooling is not null)
            {
                pooling.Apply(workspace, x + ((nint)image * rows * width), rows, feature);
                continue;
            }
            RowSums.Overwrite(x + ((nint)image * rows * width), rows, width, feature);
            for (var i = 0; i < width; i++)
                feature[i] /= rows;
        }
        classes.Apply(workspace, new(features_ND, width), images, logits_NC, config.ClassCount);
    }
}
