using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Class names of one type.</summary>
internal class LabelValues<T>(PrimitiveDataViewType type, T[] values) : LabelValues(type)
{
    /// <inheritdoc/>
    public override int Count => values.Length;

    private protected T[] Values => values;

    /// <inheritdoc/>
    public override IReadOnlyList<string> ToTexts() =>
        Array.ConvertAll(values, value => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "");

    /// <inheritdoc/>
    public override void AddTo(DataViewSchema.Annotations.Builder annotations, string kind)
    {
        ValueGetter<VBuffer<T>> getter = (ref VBuffer<T> destination) =>
        {
            var editor = VBufferEditor.Create(ref destination, values.Length);
            values.CopyTo(editor.Values);
            destination = editor.Commit();
        };
        annotations.Add(kind, new VectorDataViewType(Type, values.Length), getter);
    }

    private protected override LabelValues Read(DataViewSchema.Annotations annotations) => With(ReadValues(annotations));

    private protected override LabelValues Parse(JsonNode json) => With(json.Deserialize<T[]>(Json)!);

    private protected override JsonNode ValuesToJson() => JsonSerializer.SerializeToNode(values, Json)!;

    private protected override IEnumerable<object> Identities() => values.Select(value => (object)value!);

    private protected virtual LabelValues With(T[] newValues) => new LabelValues<T>(Type, newValues);

    private static T[] ReadValues(DataViewSchema.Annotations annotations)
    {
        VBuffer<T> buffer = default;
        annotations.GetValue(AnnotationUtils.Kinds.KeyValues, ref buffer);
        return [.. buffer.DenseValues()];
    }
}
