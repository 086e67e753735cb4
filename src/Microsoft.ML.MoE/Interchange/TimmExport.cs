using System.Text.Json.Nodes;
using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Interchange;

/// <summary>How timm describes a network of ours.</summary>
internal static class TimmExport
{
    /// <summary>The names of its tensors and its <c>config.json</c>.</summary>
    /// <exception cref="ArgumentException">timm has no such network; the message says what it lacks.</exception>
    public static (IReadOnlyList<TensorName> Names, JsonObject Config) Describe(ImageClassifierConfig config)
    {
        if (config.Stem is not null)
            throw Unknown($"{nameof(config.Stem)} is set");
        if (config.ImageHeight != config.ImageWidth)
            throw Unknown($"the images are {config.ImageWidth}×{config.ImageHeight}, not square");
        return config switch
        {
            VisionTransformerConfig transformer => (NamesOf(transformer), Describe(transformer)),
            MlpMixerConfig mixer when mixer.Pooling == Pooling.Mean => (TimmNames.MlpMixer, Describe(mixer)),
            MlpMixerConfig => throw Unknown($"{nameof(config.Pooling)} is {config.Pooling}"),
            _ => throw Unknown($"it is a {config.GetType().Name[..^"Config".Length]}"),
        };
    }

    private static IReadOnlyList<TensorName> NamesOf(VisionTransformerConfig config)
    {
        if (config.MixtureBlocks > 0)
            throw Unknown($"{nameof(config.MixtureBlocks)} is {config.MixtureBlocks}");
        if (config.Representation)
            throw Unknown($"{nameof(config.Representation)} is set");
        if (!(config is { Pooling: Pooling.ClassToken } or { Pooling: Pooling.Mean, ClassToken: ClassToken.None }))
            throw Unknown($"{nameof(config.Pooling)} is {config.Pooling} and {nameof(config.ClassToken)} {config.ClassToken}");
        return config.NormAfterPooling ? TimmNames.AveragingVisionTransformer : TimmNames.VisionTransformer;
    }

    private static JsonObject Describe(VisionTransformerConfig config)
    {
        var arguments = Arguments(config, config.Width);
        arguments["depth"] = config.Blocks;
        arguments["num_heads"] = config.Heads;
        arguments["mlp_ratio"] = Ratio(config.FeedForwardWidth, config.Width);
        var pool = "token";
        if (config.Pooling == Pooling.Mean)
        {
            (arguments["class_token"], arguments["fc_norm"], pool) = (false, config.NormAfterPooling, "avg");
            arguments["global_pool"] = pool;
        }
        return Describe($"vit_custom_patch{config.PatchSize}_{config.ImageHeight}", config, arguments, pool);
    }

    private static JsonObject Describe(MlpMixerConfig config)
    {
        var arguments = Arguments(config, config.Width);
        arguments["num_blocks"] = config.Blocks;
        arguments["mlp_ratio"] = new JsonArray(Ratio(config.SpatialWidth, config.Width), Ratio(config.ChannelWidth, config.Width));
        return Describe($"mixer_custom_patch{config.PatchSize}_{config.ImageHeight}", config, arguments, pool: null);
    }

    // timm cuts the product off: the quotient rounded down would lose a neuron.
    internal static double Ratio(int hidden, int width)
    {
        var ratio = (double)hidden / width;
        return (int)(width * ratio) < hidden ? Math.BitIncrement(ratio) : ratio;
    }

    private static JsonObject Arguments(ImageClassifierConfig config, int width) => new()
    {
        ["img_size"] = config.ImageHeight,
        ["patch_size"] = config.PatchSize,
        ["in_chans"] = config.Channels,
        ["num_classes"] = config.ClassCount,
        ["embed_dim"] = width,
    };

    private static JsonObject Describe(string architecture, ImageClassifierConfig config, JsonObject arguments, string? pool)
    {
        var json = new JsonObject { ["architecture"] = architecture, ["num_classes"] = config.ClassCount, ["model_args"] = arguments };
        if (pool is not null)
            json["global_pool"] = pool;
        return json;
    }

    private static ArgumentException Unknown(string reason) =>
        new($"The model cannot be written as one of timm's: {reason}. Those are dense Vision Transformers and MLP-Mixers on patches.");
}
