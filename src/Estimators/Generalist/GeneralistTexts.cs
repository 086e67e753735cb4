using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Turns texts into what a generalist reads: their tokens and an end, no longer than the model allows.</summary>
/// <param name="tokenizer">The tokenizer, whose separator is the end.</param>
/// <param name="mostTokens">Tokens of a sequence, its ends included, at least 2.</param>
internal sealed class GeneralistTexts(TextTokenizer tokenizer, int mostTokens)
{
    private readonly Lazy<bool> tokensBeginWithSpaces = new(() =>
        Enumerable.Range(0, tokenizer.VocabularySize).Any(id => tokenizer.BytesOf(id) is [(byte)' ', _, ..]));

    /// <summary>Texts that were too long so far.</summary>
    public long Cut { get; private set; }

    /// <summary>The tokenizer.</summary>
    public TextTokenizer Tokenizer => tokenizer;

    /// <summary>
    /// Whether a token that begins a word has the space before it in it, as byte pairs have. Bytes and characters stand alone.
    /// </summary>
    public bool TokensBeginWithSpaces => tokensBeginWithSpaces.Value;

    /// <summary>The same with a count of its own: a model's is shared by all who read.</summary>
    public GeneralistTexts Recount() => new(tokenizer, mostTokens);

    /// <summary>The tokens of a text, then the end. What is too long loses its last tokens, but not the end.</summary>
    public int[] Encode(string text)
    {
        var ids = CutOff(text, out var cut);
        if (cut)
            Cut++;
        return ids;
    }

    /// <summary>
    /// The tokens of a text as a task learns it. A text whose words are predicted in their order goes on where it is cut: it has no end
    /// there, or the model would learn that all texts end at its length.
    /// </summary>
    public int[] Encode(GeneralistTask task, string text)
    {
        if (!task.Kind.IsCaption() && task.Kind != GeneralistTaskKind.CausalLanguageModel)
            return Encode(text);
        var ids = tokenizer.Encode(text);
        if (ids.Length < mostTokens)
            return [.. ids, tokenizer.SeparatorId];
        Cut++;
        return ids[..mostTokens];
    }

    /// <summary>
    /// The tokens of two texts, an end behind each. Where they are too long together, the longer one loses its last tokens, or both.
    /// </summary>
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

    /// <summary>
    /// What a task chooses among, as it stands before any data: the vocabulary, the names of its classes, or nothing where texts are looked
    /// for.
    /// </summary>
    public int[][] CandidatesOf(GeneralistTask task) =>
        task.Kind.PredictsTokens() ? Vocabulary() : [.. (task.ClassNames ?? []).Select(Encode)];

    /// <summary>Checks that the model can tell a task's classes: their names are all it has of them.</summary>
    /// <exception cref="ArgumentException">The names of two are the same tokens, once cut; the message has the names.</exception>
    public void RequireDistinctClasses(GeneralistTask task)
    {
        var alike = (task.ClassNames ?? [])
            .GroupBy(name => string.Join(' ', CutOff(name, out _)))
            .FirstOrDefault(group => group.Count() > 1);
        if (alike is null)
            return;
        var read = tokenizer.Decode(CutOff(alike.First(), out _));
        throw new ArgumentException(
            $"The classes [{string.Join(", ", alike.Select(name => $"'{name}'"))}] of task '{task.Name}' are one to the model, which "
                + $"reads '{read}' of each: "
                + $"at most {mostTokens - 1} tokens (TextLength {mostTokens}, with the end), and of those only what its tokenizer knows. "
                + "Names that differ there are wanted.");
    }

    /// <summary>Every token of the vocabulary as a target: the token, then the end.</summary>
    public int[][] Vocabulary() => [.. Enumerable.Range(0, tokenizer.VocabularySize).Select(id => new[] { id, tokenizer.SeparatorId })];

    private int[] CutOff(string text, out bool cut)
    {
        var ids = tokenizer.Encode(text);
        cut = ids.Length >= mostTokens;
        return [.. cut ? ids[..(mostTokens - 1)] : ids, tokenizer.SeparatorId];
    }
}
