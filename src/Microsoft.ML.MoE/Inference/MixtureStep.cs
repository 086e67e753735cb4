// A sparse feed-forward layer. WideNet, arXiv 2107.11817, equations 1–2.
//
// Axes: T = tokens, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token, R = computed rows.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Kernels;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Inference;

/// <summary>A mixture of experts: y = y + Σₖ gₖ · FFNₖ(x).</summary>
/// <param name="router">Chooses; null where somebody else does.</param>
/// <param name="expand">For each expert D to F.</param>
/// <param name="contract">For each expert F to D.</param>
internal sealed unsafe class MixtureStep(RouterStep? router, LinearStep[] expand, LinearStep[] contract) : TokenStep
{
    /// <summary>A mixture with the experts' weights as they are now.</summary>
    public static MixtureStep Of(RouterStep? router, FeedForwardExperts experts)
    {
        using var scope = NewDisposeScope();
        var (w1_EDF, b1_EF, w2_EFD, b2_ED) = experts.Weights;
        int[] all = [.. Enumerable.Range(0, experts.Experts)];
        return new(
            router,
            Array.ConvertAll(all, e => LinearStep.OfTransposed(w1_EDF.select(0, e), b1_EF.select(0, e))),
            Array.ConvertAll(all, e => LinearStep.OfTransposed(w2_EFD.select(0, e), b2_ED.select(0, e))));
    }

    /// <inheritdoc/>
    public override bool TokensCompete => router is { HasCapacity: true };

    /// <inheritdoc/>
    public override void AddTo(Workspace workspace, float* x, int tokens, int items, float* y)
    {
        var mark = workspace.Mark();
        AddTo(workspace, x, Route(workspace, x, tokens, items), y);
        workspace.Release(mark);
    }

    /// <summary>Chooses.</summary>
    /// <inheritdoc cref="RouterStep.Route"/>
    public MixtureRoute Route(Workspace workspace, float* x, int tokens, int items) => router!.Route(workspace, x, tokens, items);

    /// <inheritdoc cref="RouterStep.Weigh"/>
    public MixtureRoute Weigh(Workspace workspace, float* x, MixtureRoute route) => router!.Weigh(workspace, x, route);

    /// <summary>Computes.</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="x">Tokens (T, D).</param>
    /// <param name="route">Who computes what.</param>
    /// <param name="y">(T, D).</param>
    public void AddTo(Workspace workspace, float* x, MixtureRoute route, float* y)
    {
        var mark = workspace.Mark();
        var (width, hiddenWidth) = (expand[0].Inputs, expand[0].Outputs);
        var outputs = workspace.Floats((long)route.RowEnds[expand.Length - 1] * width);
        var hidden = workspace.Floats((long)Math.Min(route.Tokens, FeedForwardStep.RowsAtATime) * hiddenWidth);
        for (var (e, row) = (0, 0); e < expand.Length; e++)
        {
            while (row < route.RowEnds[e])
            {
                var rows = Math.Min(FeedForwardStep.RowsAtATime, route.RowEnds[e] - row);
                expand[e].Apply(workspace, new(x, width, route.TokenOfRow + row), rows, hidden, hiddenWidth, gelu: true);
                contract[e].Apply(workspace, new(hidden, hiddenWidth), rows, outputs + ((nint)row * width), width);
                row += rows;
            }
        }

        // In the order of a token's choices.
        for (var token = 0; token < route.Tokens; token++)
        {
            for (var pair = token * route.Choices; pair < (token + 1) * route.Choices; pair++)
            {
                if (route.RowOfPair[pair] is >= 0 and var row)
                    RowSums.AddScaled(outputs + ((nint)row * width), route.Gates[pair], y + ((nint)token * width), width);
            }
        }
        workspace.Release(mark);
    }
}
