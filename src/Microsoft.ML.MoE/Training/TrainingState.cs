using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Training;

/// <summary>What a checkpoint says of a training besides its tensors.</summary>
internal sealed record TrainingState
{
    private const int CurrentVersion = 1;

    private static readonly JsonSerializerOptions Json = new()
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        TypeInfoResolver = JsonContracts.Settable,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>The version of this format.</summary>
    public int Version { get; init; } = CurrentVersion;

    /// <summary>The options of the training that decide its weights, by name.</summary>
    public required IReadOnlyDictionary<string, string> Options { get; init; }

    /// <summary>What else decides them: model, data, seed.</summary>
    public required IReadOnlyDictionary<string, string> Identity { get; init; }

    /// <summary>What may change the last digits of the weights: the machine.</summary>
    public required IReadOnlyDictionary<string, string> Circumstances { get; init; }

    /// <summary>Updates done.</summary>
    public required int Steps { get; init; }

    /// <summary>Batches done of the epoch that comes after <see cref="Epochs"/>.</summary>
    public required int Batches { get; init; }

    /// <summary>Learning rate of the last update.</summary>
    public required double LearningRate { get; init; }

    /// <summary>How long training has taken.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>The epochs done.</summary>
    public required IReadOnlyList<EpochSummary> Epochs { get; init; }

    /// <summary>Which of them was the best.</summary>
    public required BestEpochState Best { get; init; }

    /// <summary>Sums for the reports.</summary>
    public required LossMeterState Meter { get; init; }

    /// <summary>Samples of each batch whose gradients wait for the update.</summary>
    public required IReadOnlyList<int> PendingSamples { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <exception cref="InvalidDataException">The text is something else.</exception>
    /// <exception cref="InvalidOperationException">A newer version of the library wrote it.</exception>
    public static TrainingState FromJson(string text)
    {
        try
        {
            int version = JsonNode.Parse(text)?[nameof(Version)]?.GetValue<int>() ?? 0;
            if (version > CurrentVersion)
                throw new InvalidOperationException(
                    $"The checkpoint has the format version {version}; this version of the library reads up to {CurrentVersion}. Update "
                        + "the package.");
            return JsonSerializer.Deserialize<TrainingState>(text, Json) ?? throw new InvalidDataException("its state is empty.");
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or FormatException)
        {
            throw new InvalidDataException($"its state cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>Values by name, those within records by <c>OUTER.INNER</c>.</summary>
    public static IReadOnlyDictionary<string, string> Describe<T>(T value)
    {
        var names = new SortedDictionary<string, string>(StringComparer.Ordinal);
        Add("", JsonSerializer.SerializeToNode(value, Json));
        return names;

        void Add(string name, JsonNode? node)
        {
            if (node is JsonObject members)
            {
                foreach (var (member, inner) in members)
                    Add(name.Length == 0 ? member : $"{name}.{member}", inner);
            }
            else
            {
                names.Add(name, node is JsonValue single && single.TryGetValue(out string? text) ? text : node?.ToJsonString() ?? "null");
            }
        }
    }

    /// <summary>A value, and those within it, by name: <c>NAME.INNER</c>.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Describe(string name, object? value) =>
        Describe(value).Select(inner => KeyValuePair.Create(inner.Key.Length == 0 ? name : $"{name}.{inner.Key}", inner.Value));

    /// <summary>Checks that a training is the one whose state this is.</summary>
    /// <param name="source">Where the state comes from, in words.</param>
    /// <param name="options">The options of that training.</param>
    /// <param name="identity">What else decides its course.</param>
    /// <exception cref="InvalidOperationException">It is another one; the message names what differs.</exception>
    public void RequireSame(string source, IReadOnlyDictionary<string, string> options, IReadOnlyDictionary<string, string> identity)
    {
        if ((Difference(Options, options) ?? Difference(Identity, identity)) is { } difference)
            throw new InvalidOperationException($"The training of {source} was another one and cannot be continued: {difference}.");
    }

    /// <summary>What two descriptions differ in, in words; null where they do not.</summary>
    public static string? Difference(IReadOnlyDictionary<string, string> saved, IReadOnlyDictionary<string, string> now)
    {
        var differences = saved.Keys.Union(now.Keys).Order(StringComparer.Ordinal)
            .Where(name => saved.GetValueOrDefault(name) != now.GetValueOrDefault(name))
            .Select(name =>
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{name} was {saved.GetValueOrDefault(name) ?? "not there"} in the checkpoint and is "
                        + $"{now.GetValueOrDefault(name) ?? "not there"} now"));
        return string.Join("; ", differences) is { Length: > 0 } text ? text : null;
    }

    private static string VectorWidth =>
        Vector512.IsHardwareAccelerated ? ", 512 bits"
        : Vector256.IsHardwareAccelerated ? ", 256 bits"
        : "";

    /// <summary>What may change the last digits of a training on this machine, now.</summary>
    public static IReadOnlyDictionary<string, string> CircumstancesOf(torch.Device device) =>
        new Dictionary<string, string>
        {
            ["Device"] = device.ToString(),
            ["Threads"] = torch.get_num_threads().ToString(CultureInfo.InvariantCulture),
            ["Processor"] = RuntimeInformation.ProcessArchitecture + VectorWidth,
            ["Library"] = typeof(TrainingState).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
                ?? "",
        };
}
