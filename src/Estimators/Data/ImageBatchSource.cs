using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Batches of a training set, in another order each epoch: the same orders for the same seed.</summary>
internal sealed class ImageBatchSource(IImageExamples examples, ImageBatches batches, long seed) : IBatchSource<ImageBatch>
{
    /// <inheritdoc/>
    public int? BatchesPerEpoch => (examples.Count + batches.BatchSize - 1) / batches.BatchSize;

    /// <inheritdoc/>
    public IEnumerable<ImageBatch> ReadEpoch(int epoch, CancellationToken cancellationToken) =>
        batches.From(examples.Shuffled(SeededRandom.Create(seed, epoch), cancellationToken), examples.Count);
}
