// Byte-pair encoding: the most frequent pair of neighbouring tokens becomes a token, again and again. Sennrich et al., arXiv 1508.07909,
// section 3.2, on bytes as in GPT-2.

using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Learns merges. Deterministic: of pairs that are equally frequent the one with the smaller left token comes first, then the one with the
/// smaller right token. Pairs count within the pieces of <see cref="WordPattern.Gpt2"/> only, and only pairs that occur at least twice are
/// merged.
/// </summary>
internal sealed class BytePairTrainer
{
    private const int Bytes = 256;
    private const int LeastCount = 2;
    private const int WordsPerCheck = 1 << 12;   // between two looks at the cancellation token

    private readonly List<byte[]> tokens = [.. Enumerable.Range(0, Bytes).Select(value => new[] { (byte)value })];
    private readonly List<(int Left, int Right)> merges = [];
    private readonly List<Word> words = [];
    private readonly Dictionary<(int Left, int Right), Pair> pairs = [];
    private readonly PriorityQueue<(int Left, int Right), (long NegativeCount, int Left, int Right)> queue = new();
    private readonly HashSet<(int Left, int Right)> changed = [];
    private readonly CancellationToken cancellationToken;

    private BytePairTrainer(CancellationToken cancellationToken) => this.cancellationToken = cancellationToken;

    /// <summary>The bytes of every token; a token's id is its place.</summary>
    public IReadOnlyList<byte[]> Tokens => tokens;

    /// <summary>The merges in the order in which they were learned.</summary>
    public IReadOnlyList<(int Left, int Right)> Merges => merges;

    /// <summary>Learns.</summary>
    /// <param name="texts">The texts, read once.</param>
    /// <param name="vocabularySize">Tokens at which learning ends.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static BytePairTrainer Run(IEnumerable<string> texts, int vocabularySize, CancellationToken cancellationToken)
    {
        var trainer = new BytePairTrainer(cancellationToken);
        trainer.AddWords(CountWords(texts, cancellationToken));
        trainer.Merge(vocabularySize);
        return trainer;
    }

    private static Dictionary<string, long> CountWords(IEnumerable<string> texts, CancellationToken cancellationToken)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var text in texts)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var unicode = TextTokenizer.Unicode(text);
            foreach (var match in WordPattern.Gpt2.EnumerateMatches(unicode))
                CollectionsMarshal.GetValueRefOrAddDefault(lookup, unicode.AsSpan(match.Index, match.Length), out _)++;
        }
        return counts;
    }

    private void AddWords(Dictionary<string, long> counts)
    {
        foreach (var (text, count) in counts.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            var symbols = Array.ConvertAll(Encoding.UTF8.GetBytes(text), value => (int)value);
            if (symbols.Length < 2)
                continue;
            words.Add(new Word(symbols, count));
            for (var i = 0; i + 1 < symbols.Length; i++)
                Change((symbols[i], symbols[i + 1]), count, words.Count - 1);
        }
        EnqueueChanged();
    }

    private void Merge(int vocabularySize)
    {
        var ids = new Dictionary<string, int>();
        for (var id = 0; id < tokens.Count; id++)
            ids.Add(Key(tokens[id]), id);

        while (tokens.Count < vocabularySize && queue.TryDequeue(out var pair, out var priority))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!pairs.TryGetValue(pair, out var found) || found.Count != -priority.NegativeCount)
                continue;   // the count has changed since: the pair stands in the queue again

            byte[] bytes = [.. tokens[pair.Left], .. tokens[pair.Right]];
            if (!ids.TryGetValue(Key(bytes), out var merged))   // else the same bytes are a token already, by another way
            {
                merged = tokens.Count;
                ids.Add(Key(bytes), merged);
                tokens.Add(bytes);
            }
            merges.Add(pair);

            foreach (var word in found.Words)
                MergeIn(word, pair, merged);
            pairs.Remove(pair);
            changed.Remove(pair);
            EnqueueChanged();
        }
    }

    private void MergeIn(int index, (int Left, int Right) pair, int merged)
    {
        var word = words[index];
        var (symbols, written) = (word.Symbols, 0);
        for (var i = 0; i < word.Length; i++)
        {
            if (i % WordsPerCheck == WordsPerCheck - 1)
                cancellationToken.ThrowIfCancellationRequested();
            if (symbols[i] != pair.Left || i + 1 >= word.Length || symbols[i + 1] != pair.Right)
            {
                symbols[written++] = symbols[i];
                continue;
            }

            if (written > 0)
            {
                Change((symbols[written - 1], pair.Left), -word.Count, index);
                Change((symbols[written - 1], merged), word.Count, index);
            }
            if (i + 2 < word.Length)
            {
                Change((pair.Right, symbols[i + 2]), -word.Count, index);
                Change((merged, symbols[i + 2]), word.Count, index);
            }
            symbols[written++] = merged;
            i++;
        }
        word.Length = written;
    }

    private void Change((int Left, int Right) pair, long difference, int word)
    {
        if (!pairs.TryGetValue(pair, out var found))
            pairs.Add(pair, found = new Pair());
        found.Count += difference;
        if (difference > 0 && (found.Words.Count == 0 || found.Words[^1] != word))
            found.Words.Add(word);   // may come twice, which does no harm: the second time nothing is left to merge
        changed.Add(pair);
    }

    private void EnqueueChanged()
    {
        foreach (var pair in changed)
        {
            if (pairs.TryGetValue(pair, out var found) && found.Count >= LeastCount)
                queue.Enqueue(pair, (-found.Count, pair.Left, pair.Right));
        }
        changed.Clear();
    }

    private static string Key(byte[] bytes) => Encoding.Latin1.GetString(bytes);

    private sealed class Word(int[] symbols, long count)
    {
        public int[] Symbols { get; } = symbols;

        public long Count { get; } = count;

        public int Length { get; set; } = symbols.Length;
    }

    private sealed class Pair
    {
        public long Count { get; set; }

        public List<int> Words { get; } = [];
    }
}
