using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Class names that are text.</summary>
internal sealed class TextLabelValues(ReadOnlyMemory<char>[] values) : LabelValues<ReadOnlyMemory<char>>(TextDataViewType.Instance, values)
{
    private protected override LabelValues With(ReadOnlyMemory<char>[] newValues) => new TextLabelValues(newValues);

    private protected override LabelValues Parse(JsonNode json) =>
        With(Array.ConvertAll(json.Deserialize<string[]>(Json)!, value => value.AsMemory()));

    private protected override JsonNode ValuesToJson() =>
        JsonSerializer.SerializeToNode(Array.ConvertAll(Values, value => value.ToString()), Json)!;

    private protected override IEnumerable<object> Identities() => Values.Select(value => value.ToString());
}
