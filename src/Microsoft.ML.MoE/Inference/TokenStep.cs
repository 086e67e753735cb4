// Axes: T = tokens, D = model width.

namespace Microsoft.ML.MoE.Inference;

/// <summary>What stands in the feed-forward slot of a block.</summary>
internal abstract unsafe class TokenStep
{
    /// <summary>Whether what becomes of a token depends on the others of its item.</summary>
    public virtual bool TokensCompete => false;

    /// <summary>y = y + layer(x).</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="x">Tokens (T, D).</param>
    /// <param name="tokens">T.</param>
    /// <param name="items">Images or texts that they are of, equally many of each, one after the other: what becomes of a token depends on
    /// those of its item at most.</param>
    /// <param name="y">(T, D).</param>
    public abstract void AddTo(Workspace workspace, float* x, int tokens, int items, float* y);
}
