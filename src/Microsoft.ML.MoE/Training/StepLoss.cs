// Axes: B = routed layers, E = experts.

using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>The loss of one batch. The training loop minimises <see cref="Main"/> + <see cref="Auxiliary"/>.</summary>
/// <param name="Main">What the task asks for, averaged over the batch: a float32 scalar.</param>
/// <param name="Auxiliary">What is added to it, such as the weighted balance losses of routed layers: a float32 scalar on the same device.</param>
/// <param name="Samples">Samples in the batch; reported means are weighted by it.</param>
/// <param name="ExpertCounts_BE">How often each routed layer chose each expert, kept and dropped alike, int64 (B, E); null for a dense model.</param>
/// <param name="DroppedCounts_B">How many of those choices found no place, by layer, int64 (B); null for none.</param>
public sealed record StepLoss(Tensor Main, Tensor Auxiliary, int Samples, Tensor? ExpertCounts_BE = null, Tensor? DroppedCounts_B = null)
{
    /// <summary>The loss of several batches as of one: means weighted by samples, counts added up.</summary>
    internal static StepLoss Together(IReadOnlyList<StepLoss> losses)
    {
        if (losses.Count == 1)
            return losses[0];
        var samples = losses.Sum(loss => loss.Samples);
        return new StepLoss(
            losses.Select(loss => loss.Main * loss.Samples).Aggregate((sum, next) => sum + next) / samples,
            losses.Select(loss => loss.Auxiliary * loss.Samples).Aggregate((sum, next) => sum + next) / samples,
            samples,
            losses.Select(loss => loss.ExpertCounts_BE).Aggregate(Sum),
            losses.Select(loss => loss.DroppedCounts_B).Aggregate(Sum));

        static Tensor? Sum(Tensor? one, Tensor? other) => one is null || other is null ? one ?? other : one + other;
    }

    /// <summary>The numbers alone, without the graph that made them and outside any dispose scope.</summary>
    internal StepLoss Detach() => new(
        Main.detach().DetachFromDisposeScope(), Auxiliary.detach().DetachFromDisposeScope(), Samples,
        ExpertCounts_BE?.detach().DetachFromDisposeScope(), DroppedCounts_B?.detach().DetachFromDisposeScope());

    /// <summary>Frees the tensors.</summary>
    internal void Dispose()
    {
        Main.Dispose();
        Auxiliary.Dispose();
        ExpertCounts_BE?.Dispose();
        DroppedCounts_B?.Dispose();
    }
}
