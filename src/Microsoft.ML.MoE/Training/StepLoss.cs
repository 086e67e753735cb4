// Axes: B = routed layers, E = experts.

using Microsoft.ML.MoE.Runtime;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>The loss of one batch. The training loop minimises <see cref="Main"/> + <see cref="Auxiliary"/>.</summary>
/// <param name="Main">What the task asks for, averaged over the batch: a float32 scalar.</param>
/// <param name="Auxiliary">What is added to it, such as the weighted balance losses of routed layers: a float32 scalar on the same
/// device.</param>
/// <param name="Samples">Samples in the batch; reported means are weighted by it.</param>
/// <param name="ExpertCounts_E">For each of B routed layers, how often it chose each of its experts, kept and dropped alike, int64 (E),
/// which may differ in E; null for a dense model.</param>
/// <param name="DroppedCounts_B">How many of those choices found no place, by layer, int64 (B); null for none.</param>
internal sealed record StepLoss(
    Tensor Main, Tensor Auxiliary, int Samples, IReadOnlyList<Tensor>? ExpertCounts_E = null, Tensor? DroppedCounts_B = null)
{
    /// <summary>What is minimised.</summary>
    internal Tensor Total() => Main.Plus(Auxiliary);

    /// <summary>The loss of several batches as of one: means weighted by samples, counts added up.</summary>
    internal static StepLoss Together(IReadOnlyList<StepLoss> losses)
    {
        if (losses.Count == 1)
            return losses[0];
        var samples = losses.Sum(loss => loss.Samples);
        return new StepLoss(
            Mean(loss => loss.Main),
            Mean(loss => loss.Auxiliary),
            samples,
            losses.Select(loss => loss.ExpertCounts_E).Aggregate((sum, next) => Both(sum, next, PlusEach)),
            losses.Select(loss => loss.DroppedCounts_B).Aggregate((sum, next) => Both(sum, next, (one, other) => one.Plus(other))));

        Tensor Mean(Func<StepLoss, Tensor> part) =>
            losses.Select(loss => part(loss).Times(loss.Samples)).Aggregate((sum, next) => sum.Plus(next)).DividedBy(samples);

        static T? Both<T>(T? one, T? other, Func<T, T, T> add) where T : class =>
            one is null || other is null ? one ?? other : add(one, other);

        static IReadOnlyList<Tensor> PlusEach(IReadOnlyList<Tensor> ones, IReadOnlyList<Tensor> others) =>
            [.. ones.Zip(others, (one, other) => one.Plus(other))];
    }

    /// <summary>The numbers alone, without the graph that made them and outside any dispose scope.</summary>
    internal StepLoss Detach() =>
        new(
            Main.detach().DetachFromDisposeScope(),
            Auxiliary.detach().DetachFromDisposeScope(),
            Samples,
            ExpertCounts_E?.Select(counts_E => counts_E.detach().DetachFromDisposeScope()).ToArray(),
            DroppedCounts_B?.detach().DetachFromDisposeScope());

    /// <summary>The tensors by name, for a checkpoint.</summary>
    internal IEnumerable<KeyValuePair<string, Tensor>> ToTensors()
    {
        yield return new(nameof(Main), Main);
        yield return new(nameof(Auxiliary), Auxiliary);
        for (int layer = 0; layer < ExpertCounts_E?.Count; layer++)
            yield return new($"{nameof(ExpertCounts_E)}{layer}", ExpertCounts_E[layer]);
        if (DroppedCounts_B is not null)
            yield return new(nameof(DroppedCounts_B), DroppedCounts_B);
    }

    /// <summary>Copies of what <see cref="ToTensors"/> gave, outside any dispose scope.</summary>
    /// <exception cref="InvalidDataException">A loss is missing.</exception>
    internal static StepLoss FromTensors(IReadOnlyDictionary<string, Tensor> tensors, int samples, Device device)
    {
        Tensor? Find(string name) =>
            tensors.TryGetValue(name, out var value) ? value.to(device, copy: true).DetachFromDisposeScope() : null;
        var counts = tensors.Keys.Count(name => name.StartsWith(nameof(ExpertCounts_E), StringComparison.Ordinal));
        return new StepLoss(
            Find(nameof(Main)) ?? throw new InvalidDataException("The loss of a batch is not in the saved state."),
            Find(nameof(Auxiliary)) ?? throw new InvalidDataException("The auxiliary loss of a batch is not in the saved state."),
            samples,
            counts == 0 ? null : [.. Enumerable.Range(0, counts).Select(layer => Find($"{nameof(ExpertCounts_E)}{layer}")!)],
            Find(nameof(DroppedCounts_B)));
    }

    /// <summary>Frees the tensors.</summary>
    internal void Dispose()
    {
        Main.Dispose();
        Auxiliary.Dispose();
        foreach (var counts_E in ExpertCounts_E ?? [])
            counts_E.Dispose();
        DroppedCounts_B?.Dispose();
    }
}
