// What may stand in the feed-forward slot of a Transformer block: a dense network, a mixture of experts, a product-key memory, PEER.
//
// Axes: T = tokens of the whole batch, V = tokens that the mask keeps, D = model width.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// A layer for the feed-forward slot of a Transformer block: maps every token of a batch to a vector of the same width, and says which
/// experts it used.
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
    /// False for padding, bool (T); null where every token counts. Padding is left out before anything is computed: it enters no statistics
    /// (batch normalisation), takes no expert's place, counts in no loss and no usage, and its output is 0. On an accelerator a mask makes
    /// the device wait, because what is left has to be counted.
    /// </param>
    /// <returns>The outputs (T, D), an auxiliary loss, and the chosen experts of the tokens that were computed.</returns>
    /// <exception cref="ArgumentException">The tokens are not a matrix, or the mask is not one boolean for each of them.</exception>
    public sealed override FeedForwardSlotOutput forward(Tensor x_TD, Tensor? mask_T) => forward(x_TD, mask_T, sequences: 1);

    /// <summary>Computes the tokens of several sequences.</summary>
    /// <param name="x_TD">Tokens of the whole batch, those of a sequence next to each other, float32 (T, D).</param>
    /// <param name="mask_T">False for padding, bool (T); null where every token counts.</param>
    /// <param name="sequences">
    /// Sequences that the tokens are of, equally many of each, padding counted. In evaluation, a layer in which tokens compete for places
    /// lets only those of one sequence compete: what becomes of a sequence depends on no other.
    /// </param>
    /// <returns>As without sequences; where they are computed apart, the auxiliary loss is the mean of theirs.</returns>
    /// <exception cref="ArgumentException">As without sequences, or the tokens are no whole number for each of them.</exception>
    public FeedForwardSlotOutput forward(Tensor x_TD, Tensor? mask_T, long sequences)
    {
        if (x_TD.dim() != 2)
            throw new ArgumentException($"The tokens have the shape ({string.Join(", ", x_TD.shape)}); (T, D) is wanted.", nameof(x_TD));
        if (mask_T is not null && (mask_T.dtype != ScalarType.Bool || mask_T.dim() != 1 || mask_T.shape[0] != x_TD.shape[0]))
            throw new ArgumentException(
                $"The mask is {mask_T.dtype} ({string.Join(", ", mask_T.shape)}); one Bool for each of the {x_TD.shape[0]} tokens is "
                    + "wanted.",
                nameof(mask_T));
        if (sequences < 1 || x_TD.shape[0] % sequences != 0)
            throw new ArgumentException(
                $"There are {x_TD.shape[0]} tokens and {sequences} sequences; at least one sequence is wanted, and equally many tokens in "
                    + "each.",
                nameof(sequences));
        return sequences > 1 && !training && TokensCompete ? ComputeApart(x_TD, mask_T, sequences) : Compute(x_TD, mask_T);
    }

    /// <summary>Computes a batch without padding.</summary>
    /// <inheritdoc cref="forward(Tensor, Tensor?)"/>
    public FeedForwardSlotOutput forward(Tensor x_TD) => forward(x_TD, null);

    /// <summary>Whether what becomes of a token depends, in evaluation, on the others that are computed with it.</summary>
    private protected virtual bool TokensCompete => false;

    /// <summary>The layer in a plan, as in evaluation, with its weights as they are now; null where it has none.</summary>
    internal abstract TokenStep? ToStep();

    /// <summary>Computes tokens that all count.</summary>
    /// <param name="x_TD">Tokens, float32 (T, D).</param>
    private protected abstract FeedForwardSlotOutput Compute(Tensor x_TD);

    private FeedForwardSlotOutput Compute(Tensor x_TD, Tensor? mask_T)
    {
        if (mask_T is null)
            return Compute(x_TD);
        using var scope = NewDisposeScope();
        var kept_V = mask_T.nonzero().flatten();
        var output = Compute(x_TD.index_select(0, kept_V));
        return (output with { Output_TD = zeros_like(x_TD).index_copy(0, kept_V, output.Output_TD) }).MoveToOuterDisposeScope();
    }

    private FeedForwardSlotOutput ComputeApart(Tensor x_TD, Tensor? mask_T, long sequences)
    {
        using var scope = NewDisposeScope();
        var length = x_TD.shape[0] / sequences;
        var outputs = new FeedForwardSlotOutput[sequences];
        for (var sequence = 0L; sequence < sequences; sequence++)
            outputs[sequence] = Compute(x_TD.narrow(0, sequence * length, length), mask_T?.narrow(0, sequence * length, length));
        var losses = outputs.Select(output => output.AuxiliaryLoss).OfType<Tensor>().ToArray();
        var selections = outputs.Select(output => output.Selection).OfType<ExpertSelection>().ToArray();
        return new FeedForwardSlotOutput(
            cat([.. outputs.Select(output => output.Output_TD)], 0),
            losses.Length == 0 ? null : stack(losses).mean(),
            selections.Length == 0 ? null : Join(selections)).MoveToOuterDisposeScope();
    }

    /// <summary>The selections of several sequences as one.</summary>
    private protected virtual ExpertSelection Join(IReadOnlyList<ExpertSelection> selections) =>
        ExpertSelection.Join(selections, dimension: 0);
}
