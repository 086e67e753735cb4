using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Turns texts into what a generalist reads: their tokens and an end, no longer than the model allows.</summary>
/// <param name="tokenizer">The tokenizer, whose separator is the end.</param>
/// <param name="mostTokens">Tokens of a sequence, its ends included, at least 2.</param>
internal sealed class GeneralistTexts(TextTokenizer tokenizer, int mostTokens)
{
    /// <summary>Texts that were too long so far.</summary>
    public long Cut { get; private set; }

    /// <summary>The tokenizer.</summary>
    public TextTokenizer Tokenizer => tokenizer;

    /// <summary>The tokens of a text, then the end. What is too long loses its last tokens, but not the end.</summary>
    public int[] Encode(string text)
    {
        var ids = tokenizer.Encode(text);
        if (ids.Length >= mostTokens)
        {
            Cut++;
            ids = ids[..(mostTokens - 1)];
        }
        return [.. ids, tokenizer.SeparatorId];
    }

    /// <summary>The tokens of two texts, an end behind each. Where they are too long together, the longer one loses its last tokens, or both.</summary>
    public int[] Encode(string first, string second)
    {
        var (one, other) = (tokenizer.Encode(first), tokenizer.Encode(second));
        var room = mostTokens - 2;
        if (one.Length + other.Length > room)
        {
            Cut++;
            var half = room / 2;
            var ofOther = one.Length < half ? room - one.Length : Math.Min(other.Length, room - half);
            other = other[..Math.Min(other.Length, ofOther)];
            one = one[..Math.Min(one.Length, room - other.Length)];
        }
        return [.. one, tokenizer.SeparatorId, .. other, tokenizer.SeparatorId];
    }

    /// <summary>What a task chooses among, as it stands before any data: the vocabulary, the names of its classes, or nothing where texts are looked for.</summary>
    public int[][] CandidatesOf(GeneralistTask task) => task.Kind.PredictsTokens() ? Vocabulary() : [.. (task.ClassNames ?? []).Select(Encode)];

    /// <summary>Every token of the vocabulary as a target: the token, then the end.</summary>
    public int[][] Vocabulary() => [.. Enumerable.Range(0, tokenizer.VocabularySize).Select(id => new[] { id, tokenizer.SeparatorId })];
}
