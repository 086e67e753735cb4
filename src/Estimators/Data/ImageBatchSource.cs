using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Batches of a training set, in another order each epoch: the same orders for the same seed.</summary>
internal sealed class ImageBatchSource(IImageExamples examples, ImageBatches batches, long seed) : IBatchSource<ImageBatch>
{
    /// <inheritdoc/>
    public int? BatchesPerEpoch => (examples.Count + batches.BatchSize - 1) / batches.BatchSize;

    /// <inheritdoc/>
    public IEnumerable<ImageBatch> ReadEpoch(int epoch, CancellationToken cancellationToken) => ReadEpoch(epoch, skip: 0, cancellationToken);

    /// <inheritdoc/>
    public IEnumerable<ImageBatch> ReadEpoch(int epoch, int skip, CancellationToken cancellationToken)
    {
        var done = (int)Math.Min((long)skip * batches.BatchSize, examples.Count);
        return batches.From(examples.Shuffled(SeededRandom.Create(seed, epoch), done, cancellationToken), examples.Count - done);
    }
}
