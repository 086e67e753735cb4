using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>Batches that are their own number in the epoch, from 0.</summary>
internal sealed class NumberedBatches(int count) : IBatchSource<int>
{
    public int? BatchesPerEpoch { get; init; } = count;

    public IEnumerable<int> ReadEpoch(int epoch, CancellationToken cancellationToken) => Enumerable.Range(0, count);
}
