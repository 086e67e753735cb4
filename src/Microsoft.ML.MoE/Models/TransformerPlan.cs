// Axes: N = images, C = channels or classes, L = tokens of an image, D = model width.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Kernels;

namespace Microsoft.ML.MoE.Models;

/// <summary>The plan of a <see cref="TransformerClassifier"/>.</summary>
/// <param name="config">Its configuration.</param>
/// <param name="patches">Makes tokens.</param>
/// <param name="start">What tokens are before the patches are added: position embedding and class token, (L, D).</param>
/// <param name="blocks">The blocks.</param>
/// <param name="finalNorm">Behind them.</param>
/// <param name="summary">Makes a vector of the tokens.</param>
/// <param name="classes">The head.</param>
internal sealed unsafe class TransformerPlan(
    TransformerClassifierConfig config,
    EmbeddingStep patches,
    PinnedFloats start,
    BlockStep[] blocks,
    NormStep finalNorm,
    TransformerPlan.Summary summary,
    LinearStep classes)
    : ImageClassifierPlan(config)
{
    private protected override int NumbersOfImage => config.Tokens * config.Width;

    private protected override void Run(Workspace workspace, float* pixels_NCHW, int images, float* logits_NC, float* features_ND)
    {
        var (tokens, width) = (config.Tokens, config.Width);
        var rows = images * tokens;
        var x = workspace.Floats((long)rows * width);
        for (var image = 0; image < images; image++)
            new ReadOnlySpan<float>(start.Address, tokens * width).CopyTo(new(x + ((nint)image * tokens * width), tokens * width));
        patches.AddTo(
            workspace,
            pixels_NCHW,
            (images, config.Channels, config.ImageHeight, config.ImageWidth),
            x + ((nint)(tokens - config.Patches) * width),
            tokens);

        var normed = workspace.Floats((long)rows * width);
        MixtureRoute route = default;
        foreach (var block in blocks)
        {
            block.Norm.Apply(x, rows, normed);
            block.Attention.AddTo(workspace, normed, images, tokens, x);
            block.SlotNorm.Apply(x, rows, normed);
            if (block.Slot is not MixtureStep mixture)
            {
                block.Slot.AddTo(workspace, normed, rows, images, x);
                continue;
            }
            route = block.Reuse switch
            {
                RouteReuse.None => mixture.Route(workspace, normed, rows, images),
                RouteReuse.Experts => mixture.Weigh(workspace, normed, route),
                _ => route,
            };
            mixture.AddTo(workspace, normed, route, x);
        }
        Pool(workspace, x, images, normed, features_ND);
        classes.Apply(workspace, new(features_ND, width), images, logits_NC, config.ClassCount);
    }

    private void Pool(Workspace workspace, float* x, int images, float* normed, float* features_ND)
    {
        var (tokens, width) = (config.Tokens, config.Width);
        var pooled = summary.Representation is null ? features_ND : workspace.Floats((long)images * width);
        if (config.Pooling != Pooling.ClassToken && !config.NormAfterPooling)
            finalNorm.Apply(x, images * tokens, normed);
        for (var image = 0; image < images; image++)
        {
            var feature = pooled + ((nint)image * width);
            var rows = (config.NormAfterPooling ? x : normed) + ((nint)image * tokens * width);
            if (config.Pooling == Pooling.ClassToken)
                finalNorm.Apply(x + ((nint)image * tokens * width), 1, feature);
            else if (summary.Pooling is { } pooling)
                pooling.Apply(workspace, rows, tokens, feature);
            else
                Average(rows, tokens, width, feature);
            if (config.NormAfterPooling)
                finalNorm.Apply(feature, 1, feature);
        }
        if (summary.Representation is not { } representation)
            return;
        representation.Apply(workspace, new(pooled, width), images, features_ND, width);
        for (var i = 0; i < images * width; i++)
            features_ND[i] = MathF.Tanh(features_ND[i]);
    }

    private static void Average(float* rows, int count, int width, float* mean)
    {
        RowSums.Overwrite(rows, count, width, mean);
        for (var i = 0; i < width; i++)
            mean[i] /= count;
    }

    /// <summary>What makes a vector of the tokens.</summary>
    /// <param name="Pooling">The weighted mean; null for the mean, or the class token.</param>
    /// <param name="Representation">The linear layer with tanh behind it; null for none.</param>
    internal readonly record struct Summary(AttentionPoolingStep? Pooling, LinearStep? Representation);
}
