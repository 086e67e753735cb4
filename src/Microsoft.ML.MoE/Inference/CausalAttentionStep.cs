// Causal self-attention. Vaswani et al., arXiv 1706.03762, section 3.2.3.
//
// Axes: T = tokens of all sequences, D = model width, H = heads, A = D/H, width of a head.

using Microsoft.ML.MoE.Kernels;

namespace Microsoft.ML.MoE.Inference;

/// <summary>Self-attention in which a token sees itself and the tokens before it.</summary>
/// <param name="heads">Heads H.</param>
/// <param name="queryKeyValue">D to 3·D.</param>
/// <param name="output">D to D.</param>
/// <param name="rotary">Turns queries and keys by their positions; null for none.</param>
internal sealed unsafe class CausalAttentionStep(int heads, LinearStep queryKeyValue, LinearStep output, RotaryTurns? rotary)
{
    private readonly int width = output.Inputs;
    private readonly int headWidth = output.Inputs / heads;

    /// <summary>y = y + attention of x, within whole sequences.</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="x">Tokens (T, D).</param>
    /// <param name="sequences">Whose they are.</param>
    /// <param name="y">(T, D).</param>
    public void AddTo(Workspace workspace, float* x, SequenceLengths sequences, float* y)
    {
        var mark = workspace.Mark();
        var parts = Project(workspace, x, sequences.Tokens);
        var mixed = workspace.Floats((long)sequences.Tokens * width);
        var memory = workspace.Floats(Attention.MemoryOf(sequences.Longest, headWidth));
        for (var (sequence, first) = (0, 0); sequence < sequences.Count; first += sequences[sequence++])
        {
            var length = sequences[sequence];
            var start = parts + ((nint)first * 3 * width);
            for (var token = 0; token < length; token++)
                rotary?.Turn(start + ((nint)token * 3 * width), 2 * heads, token);   // queries, then keys
            var target = mixed + ((nint)first * width);
            if (workspace.Team is { } team && sequences.Count == 1)
                Together(workspace, team, start, length, target);
            else
            {
                for (var head = 0; head < heads; head++)
                    Mix(start, length, head, target, memory);
            }
        }
        output.AddTo(workspace, new(mixed, width), sequences.Tokens, y, width);
        workspace.Release(mark);
    }

    /// <summary>y = y + attention of x, which comes after what the cache remembers; the cache gets it.</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="x">New tokens of one sequence (T, D).</param>
    /// <param name="tokens">T.</param>
    /// <param name="cache">The tokens before.</param>
    /// <param name="block">Which of the cache's blocks this is.</param>
    /// <param name="y">(T, D).</param>
    public void AddTo(Workspace workspace, float* x, int tokens, PlanCache cache, int block, float* y)
    {
        var mark = workspace.Mark();
        var parts = Project(workspace, x, tokens);
        var mixed = workspace.Floats((long)tokens * width);
        float* keys = cache.Keys(block), values = cache.Values(block);
        for (var token = 0; token < tokens; token++)
        {
            var part = parts + ((nint)token * 3 * width);
            var place = (nint)(cache.Length + token) * width;
            rotary?.Turn(part, 2 * heads, cache.Length + token);
            new ReadOnlySpan<float>(part + width, width).CopyTo(new(keys + place, width));
            new ReadOnlySpan<float>(part + (2 * width), width).CopyTo(new(values + place, width));
        }
        var all = cache.Length + tokens;
        var memory = workspace.Floats(Attention.MemoryOf(all, headWidth));
        for (var head = 0; head < heads; head++)
        {
            var column = head * headWidth;
            Attention.Run(
                new(parts + column, tokens, 3 * width),
                new(keys + column, all, width),
                new(values + column, all, width),
                headWidth,
                cache.Length + 1,
                new(mixed + column, width),
                memory);
        }
        output.AddTo(workspace, new(mixed, width), tokens, y, width);
        workspace.Release(mark);
    }

    private float* Project(Workspace workspace, float* x, int tokens)
    {
        var parts = workspace.Floats(3L * tokens * width);
        queryKeyValue.Apply(workspace, new(x, width), tokens, parts, 3 * width);
        return parts;
    }

    private void Together(Workspace workspace, WorkTeam team, float* parts, int length, float* mixed)
    {
        var size = Attention.MemoryOf(length, headWidth);
        var memory = workspace.Floats(heads * size);
        team.ForEach(heads, (head, _) => Mix(parts, length, head, mixed, memory + (head * size)));
    }

    private void Mix(float* parts, int length, int head, float* mixed, float* memory)
    {
        var query = parts + (head * headWidth);
        Attention.Run(
            new(query, length, 3 * width),
            new(query + width, length, 3 * width),
            new(query + (2 * width), length, 3 * width),
            headWidth,
            1,
            new(mixed + (head * headWidth), width),
            memory);
    }
}
