using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>Everything that determines an image classifier's shape. Immutable; written to model files as JSON.</summary>
[JsonPolymorphic(
    TypeDiscriminatorPropertyName = Architecture, UnknownDerivedTypeHandling = JsonUnknownDerivedTypeHandling.FailSerialization)]
[JsonDerivedType(typeof(WideNetConfig), "WideNet")]
[JsonDerivedType(typeof(VisionTransformerConfig), "VisionTransformer")]
[JsonDerivedType(typeof(SparseMlpConfig), "SparseMlp")]
[JsonDerivedType(typeof(MlpMixerConfig), "MlpMixer")]
public abstract record ImageClassifierConfig
{
    private const string Architecture = "architecture";

    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        TypeInfoResolver = JsonContracts.All,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>
    /// Height of an image in pixels, a multiple of <see cref="PatchSize"/>, or with a <see cref="Stem"/> at least that. Default 224.
    /// </summary>
    public int ImageHeight { get; init; } = 224;

    /// <summary>
    /// Width of an image in pixels, a multiple of <see cref="PatchSize"/>, or with a <see cref="Stem"/> at least that. Default 224.
    /// </summary>
    public int ImageWidth { get; init; } = 224;

    /// <summary>Channels of an image: 1 for grey, 3 for colour. Default 3.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>
    /// Side of a square patch in pixels. Default 16. With a <see cref="Stem"/> the pixels along the side of a token, a power of 2.
    /// </summary>
    public int PatchSize { get; init; } = 16;

    /// <summary>
    /// Convolutions that make the tokens; null (default) for a linear projection of each patch, as in the papers of all these models.
    /// </summary>
    public ConvolutionalStem? Stem { get; init; }

    /// <summary>How the tokens become one vector. Default: their mean.</summary>
    public Pooling Pooling { get; init; }

    /// <summary>Number of classes. Default 1000.</summary>
    public int ClassCount { get; init; } = 1000;

    // Below this width casting to bfloat16, and oneDNN's set-up for every new number of rows, cost a CPU more than the faster products save
    // (measured at 96 and 128). Convolutions gain sooner (measured at 64 and 96).
    private int LeastWidthForBFloat16 => Stem is null ? 256 : 64;

    // Width of the model's matrices.
    private protected abstract int MatrixWidth { get; }

    // Width D of the pooled vector that the classes are read from.
    internal abstract int FeatureWidth { get; }

    // Patches of an image, or tokens of a stem.
    internal int Patches => checked(Grid.Rows * Grid.Columns);

    // Rows and columns of patches. A stem rounds up, for patches there is nothing to round.
    internal (int Rows, int Columns) Grid => (RoundUp(ImageHeight), RoundUp(ImageWidth));

    // What makes tokens of an image, for a model of a width.
    private protected long EmbeddingParameters(int width)
    {
        var patch = checked((long)PatchSize * PatchSize * Channels);
        return Stem?.Parameters(Channels, PatchSize, width) ?? checked((patch * width) + width);
    }

    private protected long EmbeddingMacs(int width) =>
        Stem?.Macs(Channels, PatchSize, width, ImageHeight, ImageWidth)
            ?? checked((long)Patches * PatchSize * PatchSize * Channels * width);

    // The vector that attention pooling compares tokens with.
    private protected long PoolingParameters(int width) => Pooling == Pooling.Attention ? width : 0;

    // Two numbers of every token.
    private protected long PoolingMacs(int width, int tokens) => Pooling == Pooling.Attention ? checked(2L * tokens * width) : 0;

    private int RoundUp(int pixels) => (int)(((long)pixels + PatchSize - 1) / PatchSize);

    /// <summary>
    /// The properties by which a model may differ from an earlier one whose weights it takes over: what acts while training only, and what
    /// weights can be brought to.
    /// </summary>
    private protected virtual IEnumerable<string> FreeProperties => [nameof(ClassCount)];

    /// <summary>
    /// What an earlier, dense network must be for a sparse one of this configuration to grow out of it, every expert out of the dense layer
    /// in its place (<see cref="Upcycling"/>); null where it cannot, or need not.
    /// </summary>
    /// <param name="earlier">The earlier network, which decides what only a sparse one asks.</param>
    /// <exception cref="ArgumentException">Experts have another width than the dense layers.</exception>
    private protected virtual ImageClassifierConfig? DenseCounterpart(ImageClassifierConfig earlier) => null;

    /// <summary>Whether a model of this configuration would grow out of an earlier, dense one.</summary>
    internal bool GrowsOutOf(ImageClassifierConfig earlier) => DenseCounterpart(earlier) is not null;

    /// <summary>Checks that experts can begin as dense layers.</summary>
    private protected static void RequireExpertsAsWide(int width, string name, int denseWidth, string denseName)
    {
        if (width != denseWidth)
            throw new ArgumentException(
                $"{name} is {width}, but {denseName} of the model to start from is {denseWidth}; an expert begins as a dense layer of its "
                    + "width.");
    }

    /// <summary>The same with another weight of the losses that keep experts evenly used; as it is where it has none.</summary>
    internal virtual ImageClassifierConfig WithBalanceLossWeight(double weight) => this;

    /// <summary>Checks that a model of this configuration can take over the weights of an earlier one.</summary>
    /// <param name="earlier">The earlier model's configuration.</param>
    /// <exception cref="ArgumentException">It cannot; the message names the property with both values.</exception>
    internal void RequireWeightsOf(ImageClassifierConfig earlier)
    {
        if (DenseCounterpart(earlier) is { } dense)
        {
            dense.RequireWeightsOf(earlier);
            return;
        }
        var (mine, theirs) = (JsonNode.Parse(ToJson())!.AsObject(), JsonNode.Parse(earlier.ToJson())!.AsObject());
        if (!JsonNode.DeepEquals(mine[Architecture], theirs[Architecture]))
            throw new ArgumentException(
                $"The model to start from is a {theirs[Architecture]}; a {mine[Architecture]} cannot take over its weights.");
        var differing = mine.Select(property => property.Key)
            .Except(FreeProperties)
            .FirstOrDefault(name => !JsonNode.DeepEquals(mine[name], theirs[name]));
        if (differing is not null)
        {
            throw new ArgumentException(
                $"{differing} is {Text(mine[differing])}, but the model to start from has {Text(theirs[differing])}; a "
                    + $"{mine[Architecture]} can take over the weights only where the two agree.");
        }

        static string Text(JsonNode? value) => value?.ToJsonString() ?? "null";
    }

    /// <summary>Parameters, active parameters and multiply-adds. Allocates no weights.</summary>
    /// <exception cref="OverflowException">A figure is beyond 64 bits.</exception>
    public abstract ModelCost GetCost();

    /// <summary>
    /// The type of this model's matrix products: <see cref="Precision.Auto"/> is float32 for a narrow model on a CPU, whatever the hardware
    /// has.
    /// </summary>
    internal ScalarType ComputeType(Precision precision, Device device) =>
        precision == Precision.Auto && device.type == DeviceType.CPU && MatrixWidth < LeastWidthForBFloat16
            ? ScalarType.Float32
            : precision.Resolve(device);

    /// <summary>Makes the model with fresh random weights.</summary>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products, float32 (default) or bfloat16. Weights are float32 either way.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    public abstract ImageClassifier Build(Device? device = null, ScalarType computeType = ScalarType.Float32);

    /// <summary>Checks the configuration.</summary>
    /// <exception cref="ArgumentException">A property is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        ValidateArchitecture();
        ValidatePatches();
    }

    /// <summary>
    /// Checks all that can be checked while the size of the images is not known, with any size in its place that the patches fit.
    /// </summary>
    /// <exception cref="ArgumentException">A property is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal virtual void ValidateArchitecture()
    {
        RequireAtLeast(1, ImageHeight, nameof(ImageHeight));
        RequireAtLeast(1, ImageWidth, nameof(ImageWidth));
        RequireAtLeast(1, Channels, nameof(Channels));
        RequireAtLeast(1, PatchSize, nameof(PatchSize));
        RequireAtLeast(2, ClassCount, nameof(ClassCount));
        if (!Enum.IsDefined(Pooling))
            throw new ArgumentException(
                $"{nameof(Pooling)} is {Pooling}; it must be one of {string.Join(", ", Enum.GetNames<Pooling>())}.");
        if (Stem is not null)
            Stem.Validate(nameof(Stem), PatchSize, ImageHeight, ImageWidth);
        else if (ImageHeight % PatchSize != 0 || ImageWidth % PatchSize != 0)
            throw new ArgumentException(
                $"The image is {ImageWidth}×{ImageHeight} pixels and {nameof(PatchSize)} is {PatchSize}; both sides must be multiples of "
                    + "it.");
    }

    // Checks what depends on how many patches the images have.
    private protected virtual void ValidatePatches()
    {
    }

    /// <summary>The configuration as JSON.</summary>
    internal string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <summary>Reads what <see cref="ToJson"/> wrote, and checks it.</summary>
    /// <param name="json">The JSON text.</param>
    /// <exception cref="InvalidDataException">The text is not such a configuration.</exception>
    internal static ImageClassifierConfig FromJson(string json)
    {
        try
        {
            var config = JsonSerializer.Deserialize<ImageClassifierConfig>(json, Json)
                ?? throw new InvalidDataException("The model configuration is empty.");
            config.Validate();
            return config;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException or NotSupportedException)
        {
            throw new InvalidDataException($"The model configuration is not valid: {exception.Message}", exception);
        }
    }

    private protected static void RequireAtLeast(int minimum, int value, string name)
    {
        if (value < minimum)
            throw new ArgumentException($"{name} is {value}; it must be at least {minimum}.");
    }

    private protected static void RequireBetween(double low, double high, double value, string name)
    {
        if (!(value >= low && value <= high))
            throw new ArgumentException($"{name} is {value}; it must be between {low} and {high}.");
    }
}
