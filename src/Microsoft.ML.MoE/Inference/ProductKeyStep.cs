// Very many experts of one row each, found by product keys. PEER, arXiv 2407.04153, section 2; Lample et al., arXiv 1907.05242, section 3.
//
// Axes: T = tokens, D = model width, H = heads, K = experts of a head, M = H·K experts of a token, Q = H·d_k.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Inference;

/// <summary>y = y + Σ over heads Σ over the K best keys of gate · expert(x).</summary>
/// <param name="query">D to Q, the batch normalisation in it.</param>
/// <param name="keys">Finds them.</param>
/// <param name="rows">The experts, read where they lie.</param>
/// <param name="softmax">Whether the gates of a head are a softmax of its scores; else each is the sigmoid of its own.</param>
internal sealed unsafe class ProductKeyStep(LinearStep query, PackedProductKeys keys, ExpertRows rows, bool softmax)
    : TokenStep, IDisposable
{
    private const int TokensOfTask = 8;

    /// <summary>Lets go of the tables.</summary>
    public void Dispose() => rows.Dispose();

    /// <inheritdoc/>
    public override void AddTo(Workspace workspace, float* x, int tokens, int items, float* y)
    {
        var mark = workspace.Mark();
        var queries = workspace.Floats((long)tokens * query.Outputs);
        query.Apply(workspace, new(x, query.Inputs), tokens, queries, query.Outputs);
        var chosen = (long)keys.Heads * keys.KeysPerHead;
        var ids = workspace.Longs(tokens * chosen);
        var gates = workspace.Floats(tokens * chosen);
        if (workspace.Team is not null && tokens > TokensOfTask)
        {
            Together(workspace, queries, x, tokens, ids, gates, y);
        }
        else
        {
            Find(queries, 0, tokens, ids, gates, workspace.Integers(2 * tokens * chosen), workspace.Floats(keys.ScratchFloats));
            rows.AddTo(x, gates, ids, tokens, (int)chosen, workspace.Floats(query.Inputs), y);
        }
        workspace.Release(mark);
    }

    private void Together(Workspace workspace, float* queries, float* x, int tokens, long* ids, float* gates, float* y)
    {
        var chosen = keys.Heads * keys.KeysPerHead;
        var subKeys = workspace.Integers(2L * tokens * chosen);
        var sums = workspace.Floats((long)tokens * query.Inputs);
        workspace.Team!.ForEach((tokens + TokensOfTask - 1) / TokensOfTask, (task, scratch) =>
        {
            var first = task * TokensOfTask;
            var count = Math.Min(TokensOfTask, tokens - first);
            var pair = (nint)first * chosen;
            Find(queries, first, count, ids + pair, gates + pair, subKeys + (2 * pair), scratch);
            var row = (nint)first * query.Inputs;
            rows.AddTo(x + row, gates + pair, ids + pair, count, chosen, sums + row, y + row);
        });
    }

    private void Find(float* queries, int first, int tokens, long* ids, float* gates, int* subKeys, float* scratch)
    {
        keys.Search(queries + ((nint)first * query.Outputs), tokens, ids, gates, subKeys, scratch);
        for (var head = 0; head < tokens * keys.Heads; head++, gates += keys.KeysPerHead)
        {
            if (softmax)
            {
                Softmax.Apply(gates, keys.KeysPerHead);
                continue;
            }
            for (var k = 0; k < keys.KeysPerHead; k++)
                gates[k] = 1 / (1 + MathF.Exp(-gates[k]));
        }
    }
}
