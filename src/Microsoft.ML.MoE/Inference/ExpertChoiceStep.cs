// Every expert chooses its tokens. Zhou et al., arXiv 2202.09368, section 3.2.
//
// Axes: T = tokens, D = model width, E = experts, C = tokens of an expert.

using Microsoft.ML.MoE.Experts;
using TorchSharp;

namespace Microsoft.ML.MoE.Inference;

/// <summary>A mixture whose experts take the tokens of an item that score highest with them: y = y + Σ S · FFN(x).</summary>
/// <param name="scores">D to E.</param>
/// <param name="experts">Computes.</param>
/// <param name="tokensOfExpert">C for a number of tokens.</param>
internal sealed unsafe class ExpertChoiceStep(LinearStep scores, MixtureStep experts, Func<long, long> tokensOfExpert) : TokenStep
{
    private readonly int count = scores.Outputs;

    /// <summary>A layer with its weights as they are now.</summary>
    public static ExpertChoiceStep Of(torch.Tensor router_ED, FeedForwardExperts experts, Func<long, long> tokensOfExpert) =>
        new(LinearStep.Of(router_ED, null), MixtureStep.Of(null, experts), tokensOfExpert);

    /// <inheritdoc/>
    public override bool TokensCompete => true;

    /// <inheritdoc/>
    public override void AddTo(Workspace workspace, float* x, int tokens, int items, float* y)
    {
        var length = tokens / items;
        for (var item = 0; item < items; item++)
        {
            var mark = workspace.Mark();
            var first = (nint)item * length * scores.Inputs;
            experts.AddTo(workspace, x + first, Choose(workspace, x + first, length), y + first);
            workspace.Release(mark);
        }
    }

    private MixtureRoute Choose(Workspace workspace, float* x, int tokens)
    {
        var pairs = tokens * count;
        var places = checked((int)tokensOfExpert(tokens));
        var route = new MixtureRoute(
            tokens,
            count,
            null,
            workspace.Floats(pairs),
            workspace.Integers(count),
            workspace.Longs((long)count * places),
            workspace.Integers(pairs));
        var order = new Span<int>(workspace.Integers(tokens), tokens);
        scores.Apply(workspace, new(x, scores.Inputs), tokens, route.Gates, count);
        for (var token = 0; token < tokens; token++)
            Softmax.Apply(route.Gates + ((nint)token * count), count);
        new Span<int>(route.RowOfPair, pairs).Fill(-1);
        var gates = route.Gates;
        for (var (e, row) = (0, 0); e < count; e++)
        {
            for (var token = 0; token < tokens; token++)
                order[token] = token;
            var expert = e;
            // Of equal ones the first token.
            order.Sort((a, b) => gates[(a * count) + expert] != gates[(b * count) + expert]
                ? gates[(b * count) + expert].CompareTo(gates[(a * count) + expert])
                : a - b);
            for (var place = 0; place < places; place++, row++)
                (route.TokenOfRow[row], route.RowOfPair[(order[place] * count) + e]) = (order[place], row);
            route.RowEnds[e] = row;
        }
        return route;
    }
}
