// Axes: T = tokens, D = model width, F = hidden width.

namespace Microsoft.ML.MoE.Inference;

/// <summary>The dense feed-forward network: y = y + W2·gelu(W1·x + b1) + b2.</summary>
/// <param name="expand">D to F.</param>
/// <param name="contract">F to D.</param>
internal sealed unsafe class FeedForwardStep(LinearStep expand, LinearStep contract) : TokenStep
{
    /// <summary>Rows whose hidden numbers are in memory at a time.</summary>
    public const int RowsAtATime = 384;

    /// <inheritdoc/>
    public override void AddTo(Workspace workspace, float* x, int tokens, int items, float* y)
    {
        var mark = workspace.Mark();
        var (width, hiddenWidth) = (expand.Inputs, expand.Outputs);
        var hidden = workspace.Floats((long)Math.Min(tokens, RowsAtATime) * hiddenWidth);
        for (var row = 0; row < tokens; row += RowsAtATime)
        {
            var rows = Math.Min(RowsAtATime, tokens - row);
            expand.Apply(workspace, new(x + ((nint)row * width), width), rows, hidden, hiddenWidth, gelu: true);
            contract.AddTo(workspace, new(hidden, hiddenWidth), rows, y + ((nint)row * contract.Outputs), contract.Outputs);
        }
        workspace.Release(mark);
    }
}
