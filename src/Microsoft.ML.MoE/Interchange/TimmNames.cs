namespace Microsoft.ML.MoE.Interchange;

/// <summary>
/// The names that timm (https://github.com/huggingface/pytorch-image-models) gives to the weights of networks that are ours too. A line a
/// tensor, once for all blocks.
/// </summary>
internal static class TimmNames
{
    /// <summary>Vision Transformers.</summary>
    public static IReadOnlyList<TensorName> VisionTransformer { get; } =
    [
        new("patches.projection.weight", "patch_embed.proj.weight") { Flattened = true },
        new("patches.projection.bias", "patch_embed.proj.bias"),
        new("positions", "pos_embed"),
        new("classToken", "cls_token"),
        new("attentionNorms.{i}.weight", "blocks.{i}.norm1.weight"),
        new("attentionNorms.{i}.bias", "blocks.{i}.norm1.bias"),
        new("attentions.{i}.queryKeyValue.weight", "blocks.{i}.attn.qkv.weight"),
        new("attentions.{i}.queryKeyValue.bias", "blocks.{i}.attn.qkv.bias"),
        new("attentions.{i}.output.weight", "blocks.{i}.attn.proj.weight"),
        new("attentions.{i}.output.bias", "blocks.{i}.attn.proj.bias"),
        new("feedForwardNorms.{i}.weight", "blocks.{i}.norm2.weight"),
        new("feedForwardNorms.{i}.bias", "blocks.{i}.norm2.bias"),
        new("feedForwards.{i}.expand.weight", "blocks.{i}.mlp.fc1.weight"),
        new("feedForwards.{i}.expand.bias", "blocks.{i}.mlp.fc1.bias"),
        new("feedForwards.{i}.contract.weight", "blocks.{i}.mlp.fc2.weight"),
        new("feedForwards.{i}.contract.bias", "blocks.{i}.mlp.fc2.bias"),
        new("finalNorm.weight", "norm.weight"),
        new("finalNorm.bias", "norm.bias"),
        new("classes.weight", "head.weight"),
        new("classes.bias", "head.bias"),
    ];

    /// <summary>Those whose norm comes after the mean over the patches.</summary>
    public static IReadOnlyList<TensorName> AveragingVisionTransformer { get; } =
    [
        .. VisionTransformer.Where(name => !name.Ours.StartsWith("finalNorm.", StringComparison.Ordinal)),
        new("finalNorm.weight", "fc_norm.weight"),
        new("finalNorm.bias", "fc_norm.bias"),
    ];

    /// <summary>MLP-Mixers.</summary>
    public static IReadOnlyList<TensorName> MlpMixer { get; } =
    [
        new("patches.projection.weight", "stem.proj.weight") { Flattened = true },
        new("patches.projection.bias", "stem.proj.bias"),
        new("blocks.{i}.spatialNorm.weight", "blocks.{i}.norm1.weight"),
        new("blocks.{i}.spatialNorm.bias", "blocks.{i}.norm1.bias"),
        new("blocks.{i}.spatial.expand.weight", "blocks.{i}.mlp_tokens.fc1.weight"),
        new("blocks.{i}.spatial.expand.bias", "blocks.{i}.mlp_tokens.fc1.bias"),
        new("blocks.{i}.spatial.contract.weight", "blocks.{i}.mlp_tokens.fc2.weight"),
        new("blocks.{i}.spatial.contract.bias", "blocks.{i}.mlp_tokens.fc2.bias"),
        new("blocks.{i}.channelNorm.weight", "blocks.{i}.norm2.weight"),
        new("blocks.{i}.channelNorm.bias", "blocks.{i}.norm2.bias"),
        new("blocks.{i}.channel.expand.weight", "blocks.{i}.mlp_channels.fc1.weight"),
        new("blocks.{i}.channel.expand.bias", "blocks.{i}.mlp_channels.fc1.bias"),
        new("blocks.{i}.channel.contract.weight", "blocks.{i}.mlp_channels.fc2.weight"),
        new("blocks.{i}.channel.contract.bias", "blocks.{i}.mlp_channels.fc2.bias"),
        new("finalNorm.weight", "norm.weight"),
        new("finalNorm.bias", "norm.bias"),
        new("classes.weight", "head.weight"),
        new("classes.bias", "head.bias"),
    ];
}
