using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>Models and configurations that tests can afford.</summary>
internal static class SmallModels
{
    /// <summary>The same architecture with everything small that is only a size: 2 × 2 patches, 6 blocks at most.</summary>
    public static ImageClassifierConfig Shrunk(ImageClassifierConfig config)
    {
        config = config with { ImageHeight = 8, ImageWidth = 8, Channels = 3, PatchSize = 4, ClassCount = 5 };
        return config switch
        {
            TransformerClassifierConfig transformer => transformer with
            {
                Width = 16,
                Heads = 2,
                Blocks = Math.Min(6, transformer.Blocks),
                ExpertWidth = 8,
            },
            SparseMlpConfig sparse => sparse with
            {
                Width = 16,
                Blocks = Math.Min(6, sparse.Blocks),
                SpatialWidth = 8,
                ChannelWidth = 8,
                InnerWidth = null,
                SpatialExpertWidth = 8,
                ChannelExpertWidth = 8,
            },
            MixerClassifierConfig mixer => mixer with
            {
                Width = 16,
                Blocks = Math.Min(6, mixer.Blocks),
                SpatialWidth = 8,
                ChannelWidth = 8,
            },
            _ => throw new ArgumentException($"No small size of {config.GetType()}.", nameof(config)),
        };
    }

    /// <summary>With a limit of tokens per expert in evaluation; null for a dense model.</summary>
    public static ImageClassifierConfig? WithCapacity(ImageClassifierConfig config, ExpertCapacity capacity) =>
        config switch
        {
            TransformerClassifierConfig { Experts: > 0 } sparse => sparse with { EvaluationCapacity = capacity },
            SparseMlpConfig sparse => sparse with { EvaluationCapacity = capacity },
            _ => null,
        };

    /// <summary>In evaluation, with random numbers in every layer: heads start at zero, which would hide everything before them.</summary>
    public static ImageClassifier Random(ImageClassifierConfig config)
    {
        var model = config.Build();
        Randomise(model);
        model.eval();
        return model;
    }

    /// <summary>Adds random numbers to every parameter, and to the running means and variances of normalisations.</summary>
    public static void Randomise(nn.Module model)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters())
            parameter.add_(randn_like(parameter) * 0.1);
        foreach (var buffer in model.buffers().Where(buffer => buffer.is_floating_point()))
            buffer.add_(rand_like(buffer) * 0.3);
    }
}
