// Axes: N = texts, L = tokens of the longest.

using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Texts of unequal length in one tensor.</summary>
/// <param name="Ids_NL">Tokens, int64 (N, L); 0 at padding.</param>
/// <param name="Mask_NL">False for padding, bool (N, L).</param>
internal sealed record PaddedTexts(Tensor Ids_NL, Tensor Mask_NL) : IDisposable
{
    /// <summary>
    /// Pads texts to the longest. The tensors belong to the caller's dispose scope, or to the caller where there is none.
    /// </summary>
    /// <param name="texts">The tokens of each text, at least one in each, and at least one text.</param>
    /// <param name="device">Where the tensors lie.</param>
    /// <exception cref="ArgumentException">There is no text, or one without tokens.</exception>
    public static PaddedTexts Create(IReadOnlyList<IReadOnlyList<int>> texts, Device device)
    {
        if (texts.Count == 0 || texts.Any(text => text.Count == 0))
            throw new ArgumentException(
                $"There are {texts.Count} texts, {texts.Count(text => text.Count == 0)} of them without tokens; at least one text is "
                    + "wanted, with tokens in each.",
                nameof(texts));
        var length = texts.Max(text => text.Count);
        var ids = new long[texts.Count * length];
        var mask = new bool[ids.Length];
        for (var text = 0; text < texts.Count; text++)
        {
            for (var token = 0; token < texts[text].Count; token++)
                (ids[(text * length) + token], mask[(text * length) + token]) = (texts[text][token], true);
        }
        return new(tensor(ids, [texts.Count, length], device: device), tensor(mask, [texts.Count, length], device: device));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Ids_NL.Dispose();
        Mask_NL.Dispose();
    }

    internal PaddedTexts DetachFromDisposeScope() => new(Ids_NL.DetachFromDisposeScope(), Mask_NL.DetachFromDisposeScope());
}
