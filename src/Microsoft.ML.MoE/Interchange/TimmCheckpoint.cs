using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Weights;

namespace Microsoft.ML.MoE.Interchange;

/// <summary>
/// What timm's <c>config.json</c> and the shapes of the tensors say of a network. Downloads name the architecture and the pixels, and leave
/// the sizes to the code, so that they are taken from the tensors.
/// </summary>
internal sealed partial class TimmCheckpoint
{
    private const string VisionTransformerPrefix = "vit_";
    private const string MixerPrefix = "mixer_";

    // Heads of timm's Vision Transformers, which no tensor tells (timm/models/vision_transformer.py).
    private static readonly (string Size, int Heads)[] HeadsBySize =
    [
        ("tiny", 3), ("small", 6), ("medium", 8), ("base", 12), ("large", 16), ("huge", 16), ("giant", 16),
    ];

    private readonly JsonElement json;
    private readonly IReadOnlyDictionary<string, SafeTensorsEntry> tensors;
    private readonly string architecture;

    private TimmCheckpoint(JsonElement json, IReadOnlyDictionary<string, SafeTensorsEntry> tensors, string architecture) =>
        (this.json, this.tensors, this.architecture) = (json, tensors, architecture);

    /// <summary>The architectures that are known, as a sentence names them.</summary>
    public static string Known => $"Vision Transformers ({VisionTransformerPrefix}…) and MLP-Mixers ({MixerPrefix}…) of timm";

    /// <summary>Reads what a checkpoint is; null where it is none of timm's that is known.</summary>
    public static TimmCheckpoint? Find(JsonElement json, IReadOnlyDictionary<string, SafeTensorsEntry> tensors) =>
        json.ValueKind == JsonValueKind.Object
        && json.TryGetProperty("architecture", out var name)
        && name.ValueKind == JsonValueKind.String
        && name.GetString() is { } architecture
        && (architecture.StartsWith(VisionTransformerPrefix, StringComparison.Ordinal)
            || architecture.StartsWith(MixerPrefix, StringComparison.Ordinal))
            ? new(json, tensors, architecture)
            : null;

    /// <summary>Whether the network ends with a classification head.</summary>
    public bool HasHead => tensors.ContainsKey("head.weight");

    /// <summary>The names of its tensors.</summary>
    public IReadOnlyList<TensorName> Names =>
        IsMixer ? TimmNames.MlpMixer : HasNormAfterPooling ? TimmNames.AveragingVisionTransformer : TimmNames.VisionTransformer;

    /// <summary>Mean and standard deviation of the pixels, from 0, black, to 1, white, by channel; null where it does not say.</summary>
    /// <param name="channels">The channels of the images.</param>
    /// <exception cref="InvalidDataException">They are not a number for each channel, or no pixels can have them.</exception>
    public (float[] Mean, float[] Deviation)? PixelsOf(int channels)
    {
        if (
            !json.TryGetProperty("pretrained_cfg", out var pretrained)
            || !pretrained.TryGetProperty("mean", out var means)
            || !pretrained.TryGetProperty("std", out var deviations))
            return null;
        float[] mean = [.. means.EnumerateArray().Select(x => x.GetSingle())];
        float[] deviation = [.. deviations.EnumerateArray().Select(x => x.GetSingle())];
        // A network that was made for one channel still says those of three colours.
        if (mean.Length != channels || deviation.Length != channels)
            throw new InvalidDataException(
                $"pretrained_cfg of '{architecture}' has {mean.Length} numbers in mean and {deviation.Length} in std, but its images have "
                    + $"{channels} channels: give one for each, or leave both out.");
        for (var i = 0; i < channels; i++)
        {
            if (!float.IsFinite(mean[i]))
                throw Impossible("mean", mean[i], i, "a finite number");
            if (!float.IsFinite(deviation[i]) || deviation[i] <= 0)
                throw Impossible("std", deviation[i], i, "a finite number above 0");
        }
        return (mean, deviation);
    }

    private bool IsMixer => architecture.StartsWith(MixerPrefix, StringComparison.Ordinal);

    private bool HasNormAfterPooling => tensors.ContainsKey("fc_norm.weight");

    /// <summary>The network as we have it.</summary>
    /// <exception cref="InvalidDataException">A tensor is missing that tells a size, or the network does something that ours
    /// cannot.</exception>
    public ImageClassifierConfig CreateConfig() => IsMixer ? CreateMixer() : CreateVisionTransformer();

    private MlpMixerConfig CreateMixer()
    {
        var patch = Shape("stem.proj.weight", 4);
        var (height, width) = ImageSize((int)patch[3]);
        return new MlpMixerConfig
        {
            ImageHeight = height,
            ImageWidth = width,
            Channels = (int)patch[1],
            PatchSize = (int)patch[3],
            ClassCount = ClassCount,
            Width = (int)patch[0],
            Blocks = Blocks,
            SpatialWidth = (int)Shape("blocks.0.mlp_tokens.fc1.weight", 2)[0],
            ChannelWidth = (int)Shape("blocks.0.mlp_channels.fc1.weight", 2)[0],
        };
    }

    private VisionTransformerConfig CreateVisionTransformer()
    {
        var patch = Shape("patch_embed.proj.weight", 4);
        var (height, width) = ImageSize((int)patch[3]);
        var hasClassToken = tensors.ContainsKey("cls_token");
        var pool = Text("global_pool") ?? (hasClassToken ? "token" : "avg");
        if (pool == "avg" && hasClassToken)
            throw new InvalidDataException(
                $"'{architecture}' averages the patches beside a class token (global_pool avg, with 'cls_token'); ours averages all "
                    + "tokens.");
        if (pool is not ("token" or "avg"))
            throw new InvalidDataException($"global_pool of '{architecture}' is '{pool}'; it can be token or avg.");
        return new VisionTransformerConfig
        {
            ImageHeight = height,
            ImageWidth = width,
            Channels = (int)patch[1],
            PatchSize = (int)patch[3],
            ClassCount = ClassCount,
            Width = (int)patch[0],
            Heads = Heads((int)patch[0]),
            Blocks = Blocks,
            FeedForwardWidth = (int)Shape("blocks.0.mlp.fc1.weight", 2)[0],
            ClassToken = hasClassToken ? ClassToken.Learned : ClassToken.None,
            Pooling = pool == "token" ? Pooling.ClassToken : Pooling.Mean,
            NormAfterPooling = HasNormAfterPooling,
            Experts = 0,
            Dropout = 0,
        };
    }

    // Two where there is no head: no configuration has fewer.
    private int ClassCount => HasHead ? (int)Shape("head.weight", 2)[0] : 2;

    private int Blocks =>
        1 + tensors.Keys.Select(name => BlockNumber().Match(name))
            .Where(match => match.Success)
            .Select(match => int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture))
            .DefaultIfEmpty(-1)
            .Max();

    private int Heads(int width)
    {
        if (Argument("num_heads") is { } given)
            return given;
        foreach (var (size, heads) in HeadsBySize)
        {
            if (architecture.Contains(size, StringComparison.Ordinal) && width % heads == 0)
                return heads;
        }
        throw new InvalidDataException(
            $"config.json does not say how many attention heads '{architecture}' has: add model_args with num_heads to it.");
    }

    // As the configuration says it, or square by the number of patches.
    private (int Height, int Width) ImageSize(int patchSize)
    {
        if (Argument("img_size") is { } side)
            return (side, side);
        if (
            json.TryGetProperty("pretrained_cfg", out var pretrained)
            && pretrained.TryGetProperty("input_size", out var size)
            && size.GetArrayLength() == 3)
            return (size[1].GetInt32(), size[2].GetInt32());
        var patches = IsMixer
            ? Shape("blocks.0.mlp_tokens.fc1.weight", 2)[1]
            : Shape("pos_embed", 3)[1] - (tensors.ContainsKey("cls_token") ? 1 : 0);
        var root = (int)Math.Round(Math.Sqrt(patches));
        return (root * patchSize, root * patchSize);
    }

    private InvalidDataException Impossible(string name, float value, int channel, string wanted) =>
        new(string.Create(
            CultureInfo.InvariantCulture,
            $"pretrained_cfg of '{architecture}' has the {name} {value} in channel {channel}; it must be {wanted}."));

    private int? Argument(string name) =>
        json.TryGetProperty("model_args", out var arguments)
        && arguments.TryGetProperty(name, out var value)
        && value.TryGetInt32(out var number)
            ? number
            : null;

    private string? Text(string name) => json.TryGetProperty(name, out var value) ? value.GetString() : null;

    private long[] Shape(string name, int axes) =>
        !tensors.TryGetValue(name, out var entry)
            ? throw new InvalidDataException($"Tensor '{name}' is missing: '{architecture}' has no sizes without it.")
        : entry.Shape.Length == axes && entry.Shape.All(side => side is > 0 and <= int.MaxValue)
            ? entry.Shape
        : throw new InvalidDataException($"Tensor '{name}' is ({string.Join(", ", entry.Shape)}); it must have {axes} axes.");

    [GeneratedRegex(@"^blocks\.(\d{1,4})\.")]
    private static partial Regex BlockNumber();
}
