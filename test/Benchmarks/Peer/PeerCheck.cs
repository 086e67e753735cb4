using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>Compares results of two ways to compute a layer of retrieved experts.</summary>
internal static class PeerCheck
{
    // Two experts can score so much alike that rounding decides which of them a head retrieves; some rows in a million then differ.
    private const double RowsThatMayDiffer = 0.005;

    /// <summary>Compares row by row.</summary>
    /// <param name="what">What is compared, as the beginning of a sentence.</param>
    /// <param name="expected">(R, D).</param>
    /// <param name="actual">(R, D).</param>
    /// <param name="tolerance">Largest difference, as a multiple of the largest expected number.</param>
    /// <exception cref="BenchmarkCheckException">More rows differ than close calls explain, or a number is not finite.</exception>
    public static void RowsAgree(string what, Tensor expected, Tensor actual, double tolerance)
    {
        using var scope = NewDisposeScope();
        var difference_R = (actual - expected).abs().amax([1]) / expected.abs().max();
        var bad = (difference_R <= tolerance).logical_not().to_type(float64).mean().ToDouble();   // NaN is not within the tolerance
        if (bad > RowsThatMayDiffer)
            throw new BenchmarkCheckException(
                $"{what} differs by up to {difference_R.max().ToDouble():g3} of its largest number; {bad:p2} of its rows differ.");
    }

    /// <summary>
    /// Compares what one step of Adam has done: every number moves by the rate in the direction of its gradient, but where that is
    /// next to nothing, rounding decides on the direction.
    /// </summary>
    /// <param name="what">What is compared, as the beginning of a sentence.</param>
    /// <param name="expected">The numbers after a step.</param>
    /// <param name="actual">The numbers after the other step.</param>
    /// <param name="before">The numbers before.</param>
    /// <exception cref="BenchmarkCheckException">More numbers differ than rounding explains, or nothing has moved.</exception>
    public static void StepsAgree(string what, Tensor expected, Tensor actual, Tensor before)
    {
        using var scope = NewDisposeScope();
        var moved = (expected - before).abs().max();
        if (!(moved.ToDouble() > 0))
            throw new BenchmarkCheckException($"{what} has not moved.");
        var bad = ((actual - expected).abs() <= 0.01 * moved).logical_not().to_type(float64).mean().ToDouble();
        if (bad > RowsThatMayDiffer)
            throw new BenchmarkCheckException($"{bad:p2} of {what} differ after a step.");
    }
}
