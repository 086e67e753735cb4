// What may stand in the feed-forward slot of a Transformer block: a dense network, a mixture of experts, a product-key memory, PEER.
//
// Axes: T = tokens of the whole batch, V = tokens that the mask keeps, D = model width.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// A layer for the feed-forward slot of a Transformer block: maps every token of a batch to a vector of the same width, and says which experts it used.
/// <see cref="FeedForwardSlotOptions.Create"/> makes one.
/// </summary>
public abstract class FeedForwardSlot : nn.Module<Tensor, Tensor?, FeedForwardSlotOutput>
{
    private protected FeedForwardSlot(string name) : base(name)
    {
    }

    /// <summary>Computes the tokens of a batch.</summary>
    /// <param name="x_TD">Tokens of the whole batch, float32 (T, D).</param>
    /// <param name="mask_T">
    /// False for padding, bool (T); null where every token counts. Padding is left out before anything is computed: it enters no statistics (batch normalisation), takes no expert's
    /// place, counts in no loss and no usage, and its output is 0. On an accelerator a mask makes the device wait, because what is left has to be counted.
    /// </param>
    /// <returns>The outputs (T, D), an auxiliary loss, and the chosen experts of the tokens that were computed.</returns>
    /// <exception cref="ArgumentException">The tokens are not a matrix, or the mask is not one boolean for each of them.</exception>
    public sealed override FeedForwardSlotOutput forward(Tensor x_TD, Tensor? mask_T)
    {
        if (x_TD.dim() != 2)
            throw new ArgumentException($"The tokens have the shape ({string.Join(", ", x_TD.shape)}); (T, D) is wanted.", nameof(x_TD));
        if (mask_T is null)
            return Compute(x_TD);
        if (mask_T.dtype != ScalarType.Bool || mask_T.dim() != 1 || mask_T.shape[0] != x_TD.shape[0])
            throw new ArgumentException($"The mask is {mask_T.dtype} ({string.Join(", ", mask_T.shape)}); one Bool for each of the {x_TD.shape[0]} tokens is wanted.", nameof(mask_T));

        using var scope = NewDisposeScope();
        var kept_V = mask_T.nonzero().flatten();
        var output = Compute(x_TD.index_select(0, kept_V));
        return (output with { Output_TD = zeros_like(x_TD).index_copy(0, kept_V, output.Output_TD) }).MoveToOuterDisposeScope();
    }

    /// <summary>Computes a batch without padding.</summary>
    /// <inheritdoc cref="forward(Tensor, Tensor?)"/>
    public FeedForwardSlotOutput forward(Tensor x_TD) => forward(x_TD, null);

    /// <summary>Computes tokens that all count.</summary>
    /// <param name="x_TD">Tokens, float32 (T, D).</param>
    private protected abstract FeedForwardSlotOutput Compute(Tensor x_TD);
}
