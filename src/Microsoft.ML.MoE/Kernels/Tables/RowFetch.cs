namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>Rows that will be needed soon.</summary>
/// <param name="table">Their table.</param>
/// <param name="ids">Their numbers.</param>
/// <param name="count">How many; 0 for none.</param>
internal readonly unsafe struct RowFetch(byte* table, long* ids, int count)
{
    public readonly byte* Table = table;
    public readonly long* Ids = ids;
    public readonly int Count = count;
}
