// Which experts a layer used for the tokens of a batch, whoever chose whom.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>
/// The experts that a layer used in one forward pass: returned with the layer's output, never kept by the layer. Carries no gradient.
/// </summary>
/// <param name="ExpertIds">
/// The expert of each (token, expert) pair, int64. Where tokens choose, (T, M): a row for each computed token with its M experts. Where
/// experts choose, (E, C): a row for each expert with its C tokens.
/// </param>
/// <param name="Gates">The weight of each pair, float32, of the same shape.</param>
/// <param name="Experts">Number of experts.</param>
/// <param name="DroppedCount">Pairs that found no place, an int64 scalar; null for layers that drop none.</param>
public sealed record ExpertSelection(Tensor ExpertIds, Tensor Gates, long Experts, Tensor? DroppedCount = null)
{
    /// <summary>How often each expert was chosen, int64 (<see cref="Experts"/>).</summary>
    public Tensor CountChoices() => BalancingLosses.CountChoices(ExpertIds, Experts);

    /// <summary>Several selections of one layer as one.</summary>
    /// <param name="selections">At least one.</param>
    /// <param name="dimension">The axis of the tokens: 0 where tokens choose, 1 where experts do.</param>
    internal static ExpertSelection Join(IReadOnlyList<ExpertSelection> selections, long dimension)
    {
        using var scope = NewDisposeScope();
        var dropped = selections.Select(selection => selection.DroppedCount).OfType<Tensor>().ToArray();
        return new ExpertSelection(
            cat([.. selections.Select(selection => selection.ExpertIds)], dimension),
            cat([.. selections.Select(selection => selection.Gates)], dimension),
            selections[0].Experts,
            dropped.Length == 0 ? null : stack(dropped).sum()).MoveToOuterDisposeScope();
    }

    internal ExpertSelection MoveToOuterDisposeScope() =>
        new(ExpertIds.MoveToOuterDisposeScope(), Gates.MoveToOuterDisposeScope(), Experts, DroppedCount?.MoveToOuterDisposeScope());
}
