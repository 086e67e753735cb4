using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads a column of texts.</summary>
internal static class TextRows
{
    /// <summary>The texts of all rows in their order; a missing one is empty.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled, or the context's operations were.</exception>
    public static IEnumerable<string> Read(IHost host, IDataView data, DataViewSchema.Column column, CancellationToken cancellationToken)
    {
        using var cursor = data.GetRowCursor([column]);
        var getter = cursor.GetGetter<ReadOnlyMemory<char>>(column);
        ReadOnlyMemory<char> text = default;
        while (cursor.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            host.CheckAlive();
            getter(ref text);
            yield return text.ToString();
        }
    }
}
