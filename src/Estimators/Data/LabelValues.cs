using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What the classes are called: the values behind the label's keys, by class.</summary>
internal abstract class LabelValues
{
    private protected static readonly JsonSerializerOptions Json = new()
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        TypeInfoResolver = JsonContracts.All,
        Converters = { new ClockTimeConverter() },
    };

    // The names are part of the model file format.
    private static readonly (string Name, PrimitiveDataViewType Type)[] Types =
    [
        ("Text", TextDataViewType.Instance),
        ("Boolean", BooleanDataViewType.Instance),
        ("SByte", NumberDataViewType.SByte),
        ("Byte", NumberDataViewType.Byte),
        ("Int16", NumberDataViewType.Int16),
        ("UInt16", NumberDataViewType.UInt16),
        ("Int32", NumberDataViewType.Int32),
        ("UInt32", NumberDataViewType.UInt32),
        ("Int64", NumberDataViewType.Int64),
        ("UInt64", NumberDataViewType.UInt64),
        ("Single", NumberDataViewType.Single),
        ("Double", NumberDataViewType.Double),
        ("DateTime", DateTimeDataViewType.Instance),
        ("DateTimeOffset", DateTimeOffsetDataViewType.Instance),
        ("TimeSpan", TimeSpanDataViewType.Instance),
    ];

    private protected LabelValues(PrimitiveDataViewType type) => Type = type;

    /// <summary>Type of one value.</summary>
    public PrimitiveDataViewType Type { get; }

    /// <summary>Number of values.</summary>
    public abstract int Count { get; }

    /// <summary>Reads the values from a key column, or returns null where it has none.</summary>
    public static LabelValues? From(DataViewSchema.Column column)
    {
        var values = column.Annotations.Schema.GetColumnOrNull(AnnotationUtils.Kinds.KeyValues);
        if (values?.Type is not VectorDataViewType { IsKnownSize: true } vector
            || (ulong)vector.Size != ((KeyDataViewType)column.Type).Count)
            return null;
        return Array.Exists(Types, t => t.Type.Equals(vector.ItemType))
            ? Create((PrimitiveDataViewType)vector.ItemType).Read(column.Annotations)
            : null;
    }

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The text is something else.</exception>
    public static LabelValues? FromJson(JsonObject? json)
    {
        if (json is null)
            return null;
        try
        {
            var name = (string?)json["type"];
            var found = Array.Find(Types, t => t.Name == name);
            if (found.Type is null)
                throw new InvalidDataException($"The labels have the type '{name}', which this version does not know.");
            return Create(found.Type).Parse(json["values"] ?? throw new InvalidDataException("The labels have no values."));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"The labels cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>The values as JSON: <c>{"type": …, "values": […]}</c>.</summary>
    public JsonObject ToJson() => new() { ["type"] = Array.Find(Types, t => t.Type.Equals(Type)).Name, ["values"] = ValuesToJson() };

    /// <summary>The values as text, for people.</summary>
    public abstract IReadOnlyList<string> ToTexts();

    /// <summary>
    /// For each value its position among those of another set, or −1 where it is not there. Values of different types are different: the
    /// text "1" is not the number 1. Values of one type are the same where .NET takes them for equal, as ML.NET's key mappings do: a time
    /// of day is the same whatever its kind, and an instant whatever its offset.
    /// </summary>
    public int[] PositionsIn(LabelValues other)
    {
        var positions = new Dictionary<object, int>();
        if (other.Type.Equals(Type))
        {
            foreach (var (position, value) in other.Identities().Index())
                positions.TryAdd(value, position);
        }
        return [.. Identities().Select(value => positions.GetValueOrDefault(value, -1))];
    }

    /// <summary>Whether another set has the same values in the same order.</summary>
    public bool SameAs(LabelValues other) => other.Type.Equals(Type) && Identities().SequenceEqual(other.Identities());

    /// <summary>Adds the values to a column's annotations under a kind such as <c>KeyValues</c>.</summary>
    public abstract void AddTo(DataViewSchema.Annotations.Builder annotations, string kind);

    private protected abstract LabelValues Read(DataViewSchema.Annotations annotations);

    private protected abstract LabelValues Parse(JsonNode json);

    private protected abstract JsonNode ValuesToJson();

    // What is equal where the values are.
    private protected abstract IEnumerable<object> Identities();

    private static LabelValues Create(PrimitiveDataViewType type) =>
        type == TextDataViewType.Instance
            ? new TextLabelValues([])
            : (LabelValues)
                Activator.CreateInstance(typeof(LabelValues<>).MakeGenericType(type.RawType), type, Array.CreateInstance(type.RawType, 0))!;
}
