// Axes: N = texts, L = tokens of the longest text.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Texts of unequal length with their classes. Owns its tensors.</summary>
internal sealed class TextBatch : IDisposable
{
    private TextBatch(Tensor ids_NL, Tensor isToken_NL, Tensor segments_NL, Tensor labels_N)
    {
        Ids_NL = ids_NL.DetachFromDisposeScope();
        IsToken_NL = isToken_NL.DetachFromDisposeScope();
        Segments_NL = segments_NL.DetachFromDisposeScope();
        Labels_N = labels_N.DetachFromDisposeScope();
    }

    /// <summary>Tokens, int64 (N, L); 0 where a text has ended.</summary>
    public Tensor Ids_NL { get; }

    /// <summary>bool (N, L): false where a text has ended.</summary>
    public Tensor IsToken_NL { get; }

    /// <summary>The segment of every token, int64 (N, L): 1 in the second text of a pair.</summary>
    public Tensor Segments_NL { get; }

    /// <summary>The class of each text, int64 (N); −1 where there is none.</summary>
    public Tensor Labels_N { get; }

    /// <summary>Number N of texts.</summary>
    public int Count => (int)Ids_NL.shape[0];

    /// <summary>Fills texts up to the longest.</summary>
    /// <param name="examples">The texts, at least one.</param>
    /// <param name="device">Where the tensors go.</param>
    public static TextBatch Create(IReadOnlyList<TextExample> examples, Device device)
    {
        var longest = examples.Max(example => example.Tokens.Length);
        var (ids, segments) = (new long[examples.Count * longest], new long[examples.Count * longest]);
        var isToken = new bool[ids.Length];
        for (var text = 0; text < examples.Count; text++)
        {
            var (tokens, second, _) = examples[text];
            for (var i = 0; i < tokens.Length; i++)
            {
                var place = (text * longest) + i;
                (ids[place], isToken[place], segments[place]) = (tokens[i], true, i < second ? 0 : 1);
            }
        }
        using var scope = NewDisposeScope();
        long[] shape = [examples.Count, longest];
        return new(
            tensor(ids, shape, int64, device),
            tensor(isToken, shape, ScalarType.Bool, device),
            tensor(segments, shape, int64, device),
            tensor([.. examples.Select(example => (long)example.Label)], int64, device));
    }

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Ids_NL.Dispose();
        IsToken_NL.Dispose();
        Segments_NL.Dispose();
        Labels_N.Dispose();
    }
}
