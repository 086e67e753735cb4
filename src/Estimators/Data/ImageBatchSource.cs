using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Batches of a set of images, in another order each epoch, the same orders for the same seed; or always in their own order.
/// </summary>
/// <param name="examples">The set.</param>
/// <param name="batches">Makes the batches.</param>
/// <param name="seed">Decides the orders; null for the images' own.</param>
/// <param name="wholeBatchesOnly">Whether examples that do not fill a last batch are left out of an epoch, unless there is no
/// other.</param>
/// <param name="flips">Which images are mirrored; null where that is not decided here.</param>
internal sealed class ImageBatchSource(
    IImageExamples examples, ImageBatches batches, long? seed, bool wholeBatchesOnly = false, AlternatingFlips? flips = null)
    : IBatchSource<ImageBatch>
{
    /// <summary>What the loss of an example is multiplied by; null for 1.</summary>
    public Func<ImageExample, float>? WeightOf { get; init; }

    /// <summary>How often each example comes in an epoch; null for once.</summary>
    public BalancedSampling? Sampling { get; init; }

    private int ExamplesPerEpoch =>
        wholeBatchesOnly && examples.Count > batches.BatchSize ? examples.Count - (examples.Count % batches.BatchSize) : examples.Count;

    /// <inheritdoc/>
    public int? BatchesPerEpoch => (ExamplesPerEpoch + batches.BatchSize - 1) / batches.BatchSize;

    /// <inheritdoc/>
    public IEnumerable<ImageBatch> ReadEpoch(int epoch, CancellationToken cancellationToken) =>
        ReadEpoch(epoch, skip: 0, cancellationToken);

    /// <inheritdoc/>
    public IEnumerable<ImageBatch> ReadEpoch(int epoch, int skip, CancellationToken cancellationToken)
    {
        var done = (int)Math.Min((long)skip * batches.BatchSize, ExamplesPerEpoch);
        var rest = seed is { } number
            ? examples.Shuffled(SeededRandom.Create(number, epoch), done, Sampling?.Times(epoch), cancellationToken)
            : examples.InOrder(cancellationToken).Skip(done);
        return batches.From(
            rest, ExamplesPerEpoch - done, flips is null ? null : row => flips.IsMirrored(row, epoch), WeightOf);
    }
}
