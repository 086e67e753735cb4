// Stochastic depth: a residual branch is left out at random while training. Huang et al., arXiv 1603.09382, section 3; drawn for each
// sample, as image Transformers are trained.
//
// Axes: N = samples, … = any other axes.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>y = x · b / (1 − p), where b is 0 with probability p and else 1, one b a sample: the mean stays. In evaluation y = x.</summary>
/// <remarks>
/// The random numbers come from libtorch's global generator, as those of dropout do; in a training by an estimator, from that training's
/// own.
/// </remarks>
internal sealed class DropPath : nn.Module<Tensor, Tensor>
{
    private readonly double probability;

    /// <summary>Makes a layer.</summary>
    /// <param name="probability">Probability p that a sample's branch is left out, 0 to below 1.</param>
    /// <exception cref="ArgumentException">The probability is out of range.</exception>
    public DropPath(double probability) : base(nameof(DropPath))
    {
        if (!(probability >= 0 && probability < 1))
            throw new ArgumentException($"The probability is {probability}; it must be at least 0 and below 1.", nameof(probability));
        this.probability = probability;
    }

    /// <summary>The probability for one block of many: it rises linearly from 0 at the first to the whole rate at the last.</summary>
    /// <param name="rate">The last block's probability.</param>
    /// <param name="block">Which block, from 0.</param>
    /// <param name="blocks">How many there are. A single block is a first one.</param>
    internal static double ProbabilityOf(double rate, int block, int blocks) => blocks == 1 ? 0 : rate * block / (blocks - 1);

    /// <summary>Leaves samples out.</summary>
    /// <param name="x">The branch's output, (N, …).</param>
    /// <returns>(N, …), in the input's type; the input itself in evaluation or where p is 0.</returns>
    public override Tensor forward(Tensor x)
    {
        if (!training || probability == 0)
            return x.alias();
        using var scope = NewDisposeScope();
        long[] onePerSample = [x.shape[0], .. Enumerable.Repeat(1L, (int)x.dim() - 1)];
        // In bfloat16 the factor's rounding would shift the mean.
        var factors = Draws.Uniform(onePerSample, x.device).AtLeast(probability).to_type(float32).DividedBy(1 - probability);
        return (x * factors).to_type(x.dtype).MoveToOuterDisposeScope();
    }
}
