using System.Reflection;
using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Compares what several data views say about a column, and keeps what they say alike.</summary>
internal static class ColumnAnnotations
{
    private const int MostShown = 5;

    // Numbers the scorers of one pipeline, so that it differs by chance and says nothing about the values.
    private static readonly string[] Unimportant = [AnnotationUtils.Kinds.ScoreColumnSetId];

    /// <summary>
    /// The annotations that all parts have alike. One that a part lacks is left out: nothing is claimed that is not said of all rows.
    /// </summary>
    /// <param name="parts">The column in each part that has it, at least one, and the part's name.</param>
    /// <exception cref="ArgumentException">Two differ, or only some parts name the keys; the message has column, kind, parts and
    /// values.</exception>
    public static DataViewSchema.Annotations Common(IReadOnlyList<(string Part, DataViewSchema.Column Column)> parts)
    {
        var (first, others) = (parts[0], parts.Skip(1).ToArray());
        var builder = new DataViewSchema.Annotations.Builder();
        foreach (var kind in parts.SelectMany(part => part.Column.Annotations.Schema).Select(annotation => annotation.Name).Distinct())
        {
            var having = parts.Where(part => part.Column.Annotations.Schema.GetColumnOrNull(kind) is not null).ToArray();
            if (kind == AnnotationUtils.Kinds.KeyValues && parts.FirstOrDefault(part => !having.Contains(part)) is { Part: { } nameless })
                throw new ArgumentException(
                    $"The keys of column '{first.Column.Name}' have names in the data of '{having[0].Part}' and none in those of "
                        + $"'{nameless}', so that they cannot be told: "
                        + "use the same key mapping for both, or map them back to values (MapKeyToValue).");
            if (having.Skip(1).FirstOrDefault(part => !Same(having[0].Column, part.Column, kind)) is { Part: { } other } differing)
            {
                if (Unimportant.Contains(kind))
                    continue;
                var advice = kind == AnnotationUtils.Kinds.KeyValues
                    ? ": use the same key mapping for both, or map the keys back to values (MapKeyToValue)"
                    : "";
                throw new ArgumentException(
                    $"Annotation {kind} of column '{first.Column.Name}' is {Describe(having[0].Column, kind)} in the data of "
                        + $"'{having[0].Part}' and {Describe(differing.Column, kind)} in those of '{other}'; "
                        + $"it must be the same in all{advice}.");
            }
            if (having.Length == parts.Count)
                builder.Add(first.Column.Annotations, name => name == kind);
        }
        return builder.ToAnnotations();
    }

    private static bool Same(DataViewSchema.Column one, DataViewSchema.Column other, string kind) =>
        one.Annotations.Schema[kind].Type.Equals(other.Annotations.Schema[kind].Type)
        && Values(one, kind).SequenceEqual(Values(other, kind));

    private static string Describe(DataViewSchema.Column column, string kind) => column.Annotations.Schema[kind].Type is VectorDataViewType
        ? $"[{string.Join(", ", Values(column, kind).Take(MostShown))}{(Values(column, kind).Length > MostShown ? ", …" : "")}]"
        : $"'{Values(column, kind)[0]}'";

    // Everything that an annotation holds, as what compares by value.
    private static object?[] Values(DataViewSchema.Column column, string kind)
    {
        var type = column.Annotations.Schema[kind].Type;
        var (method, item) = type is VectorDataViewType vector ? (nameof(Vector), vector.ItemType.RawType) : (nameof(Scalar), type.RawType);
        return (object?[])typeof(ColumnAnnotations).GetMethod(method, BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(item)
            .Invoke(null, BindingFlags.DoNotWrapExceptions, null, [column.Annotations, kind], null)!;
    }

    private static object?[] Scalar<T>(DataViewSchema.Annotations annotations, string kind)
    {
        T value = default!;
        annotations.GetValue(kind, ref value);
        return [Comparable(value)];
    }

    private static object?[] Vector<T>(DataViewSchema.Annotations annotations, string kind)
    {
        VBuffer<T> values = default;
        annotations.GetValue(kind, ref values);
        return [.. values.DenseValues().Select(value => Comparable(value))];
    }

    private static object? Comparable<T>(T value) => value is ReadOnlyMemory<char> text ? text.ToString() : value;
}
