using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Scoring.Contract;

/// <summary>Reads columns of any type that the transformers add, and compares what was read.</summary>
internal static class ColumnValues
{
    private const float Tolerance = 2e-5f;   // blocks of different sizes may add up in another order

    /// <summary>What reads a column of a row.</summary>
    public static Func<object> Reader(DataViewRow row, string name)
    {
        var column = row.Schema[name];
        return column.Type switch
        {
            VectorDataViewType => Read<VBuffer<float>>(value => value.DenseValues().ToArray()),
            TextDataViewType => Read<ReadOnlyMemory<char>>(value => value.ToString()),
            KeyDataViewType => Read<uint>(value => value),
            { RawType: var type } when type == typeof(int) => Read<int>(value => value),
            _ => Read<float>(value => value),
        };

        // A buffer of its own for every reader, as any caller has.
        Func<object> Read<T>(Func<T, object> toObject)
        {
            var getter = row.GetGetter<T>(column);
            var value = default(T)!;
            return () =>
            {
                getter(ref value);
                return toObject(value);
            };
        }
    }

    /// <summary>Values of columns, asked for in this order in every row; a name may be there twice.</summary>
    public static object[][] Of(IDataView view, IReadOnlyList<string> columns, params string[] alsoActive)
    {
        using var cursor = view.GetRowCursor([.. columns.Concat(alsoActive).Distinct().Select(name => view.Schema[name])]);
        var readers = columns.Select(name => Reader(cursor, name)).ToArray();
        var rows = new List<object[]>();
        while (cursor.MoveNext())
            rows.Add(Array.ConvertAll(readers, read => read()));
        return [.. rows];
    }

    /// <summary>Fails where two values differ by more than the order of additions explains.</summary>
    public static void AssertSame(object expected, object found, string where)
    {
        switch (expected)
        {
            case float number:
                Assert.IsTrue(Near(number, (float)found), $"{where}: {found}, alone {number}");
                break;
            case float[] numbers:
                Assert.IsTrue(
                    numbers.Length == ((float[])found).Length && numbers.Zip((float[])found).All(pair => Near(pair.First, pair.Second)),
                    $"{where}: [{string.Join(", ", (float[])found)}], alone [{string.Join(", ", numbers)}]");
                break;
            default:
                Assert.AreEqual(expected, found, where);
                break;
        }
    }

    private static bool Near(float one, float other) =>
        (float.IsNaN(one) && float.IsNaN(other)) || Math.Abs(one - other) <= Tolerance * Math.Max(1, Math.Abs(one));
}
