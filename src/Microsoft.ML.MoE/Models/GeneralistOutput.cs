// Axes: N = sequences, L = tokens of a sequence, D = model width.

using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>What the encoder of a <see cref="Generalist"/> makes of sequences.</summary>
public sealed record GeneralistOutput
{
    internal GeneralistOutput(Tensor states_NLD, Tensor balanceLoss, IReadOnlyList<ConditionalRouting> routings)
    {
        States_NLD = states_NLD;
        BalanceLoss = balanceLoss;
        Routings = routings;
    }

    /// <summary>The projected output of every token, float32 (N, L, D).</summary>
    public Tensor States_NLD { get; }

    /// <summary>
    /// The sum of the gates' balance losses, a float32 scalar, not weighted; 0 where no token is routed on its own.
    /// </summary>
    public Tensor BalanceLoss { get; }

    /// <summary>What the gates decided, two for each block with experts: attention, then feed-forward network.</summary>
    internal IReadOnlyList<ConditionalRouting> Routings { get; }

    /// <summary>The output of the first token, &lt;SPE&gt;, float32 (N, D): a view in the caller's dispose scope.</summary>
    public Tensor Representation_ND() => States_NLD.select(1, 0);

    internal GeneralistOutput MoveToOuterDisposeScope() =>
        new(
            States_NLD.MoveToOuterDisposeScope(),
            BalanceLoss.MoveToOuterDisposeScope(),
            [.. Routings.Select(routing => routing.MoveToOuterDisposeScope())]);
}
