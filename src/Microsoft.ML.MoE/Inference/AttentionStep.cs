// Self-attention. Vaswani et al., arXiv 1706.03762, section 3.2.
//
// Axes: N = sequences, L = tokens of a sequence, D = model width, H = heads, A = D/H, width of a head.

namespace Microsoft.ML.MoE.Inference;

/// <summary>Self-attention in which every token sees every token of its sequence.</summary>
/// <param name="heads">Heads H.</param>
/// <param name="queryKeyValue">D to 3·D.</param>
/// <param name="output">D to D.</param>
internal sealed unsafe class AttentionStep(int heads, LinearStep queryKeyValue, LinearStep output)
{
    /// <summary>y = y + attention of x.</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="x">Tokens (N, L, D).</param>
    /// <param name="sequences">N.</param>
    /// <param name="length">L.</param>
    /// <param name="y">(N, L, D).</param>
    public void AddTo(Workspace workspace, float* x, int sequences, int length, float* y)
    {
        var mark = workspace.Mark();
        var width = output.Inputs;
        var rows = checked(sequences * length);
        var parts = workspace.Floats(3L * rows * width);
        var mixed = workspace.Floats((long)rows * width);
        queryKeyValue.Apply(workspace, new(x, width), rows, parts, 3 * width);
        Mix(workspace, parts, sequences, length, mixed);
        output.AddTo(workspace, new(mixed, width), rows, y, width);
        workspace.Release(mark);
    }

    private void Mix(Workspace workspace, float* parts, int sequences, int length, float* mixed)
    {
        var width = output.Inputs;
        var headWidth = width / heads;
        var size = Attention.MemoryOf(length, headWidth);
        if (workspace.Team is { } team)
        {
            Together(team, workspace.Floats(size * sequences * heads));
            return;
        }
        var memory = workspace.Floats(size);
        for (var task = 0; task < sequences * heads; task++)
            One(task, memory);

        void Together(Kernels.WorkTeam all, float* memories) => all.ForEach(
            sequences * heads, (task, _) => One(task, memories + (task * size)));

        void One(int task, float* own)
        {
            var (sequence, head) = (task / heads, task % heads);
            var query = parts + ((nint)sequence * length * 3 * width) + (head * headWidth);
            Attention.Run(
                new(query, length, 3 * width),
                new(query + width, length, 3 * width),
                new(query + (2 * width), length, 3 * width),
                headWidth,
                length,
                new(mixed + ((nint)sequence * length * width) + (head * headWidth), width),
                own);
        }
    }
}
