using System.Text;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Text;

[TestClass]
public sealed class BytePairTests
{
    [TestMethod]
    public void Merges_AreThoseWorkedOutByHand()
    {
        // Words: "low" ×3, " low" ×2, " lower" ×2, " new" ×3. Pairs: lo 7, ow 7, " l" 4, "we" 2, "er" 2, " n" 3, "ne" 3, "ew" 3.
        // 1. lo (7, l before o) -> A, then Aw 7, " A" 4.  2. Aw (7) -> B "low", then " B" 4, "Be" 2.  3. " B" (4) -> C " low", then "Ce" 2.
        // 4. " n" (3, before "ew" and "ne" as space is the smaller byte) -> D, then "De" 3.  5. "ew" (3, 'e' is below D) -> E, then "DE" 3.
        // 6. DE (3) -> F " new".  7. "er" (2, 'e' is below C); then "C er" 2.  8. C er -> " lower".  Then no pair occurs twice.
        var trained = BytePairTrainer.Run(["low low", "low", "low low lower lower new new new"], 1000, CancellationToken.None);
        string[] expected = ["lo", "low", " low", " n", "ew", " new", "er", " lower"];
        CollectionAssert.AreEqual(expected, trained.Tokens.Skip(256).Select(token => Encoding.UTF8.GetString(token)).ToArray());
        Assert.AreEqual(('l', 'o'), trained.Merges[0]);
        Assert.AreEqual((256, 'w'), trained.Merges[1]);
        Assert.AreEqual((258, 262), trained.Merges[7]);

        var tokenizer = BytePairTokenizer.Train(["low low", "low", "low low lower lower new new new"], 1000, CancellationToken.None);
        Assert.AreEqual(
            ("l o", "lo w", "Ġ low", 264, 265),
            (tokenizer.Merges[0], tokenizer.Merges[1], tokenizer.Merges[2], tokenizer.SeparatorId, tokenizer.VocabularySize));
        CollectionAssert.AreEqual(new[] { 257, 263, 261, 's', 256 }, tokenizer.Encode("low lower newslo"));
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(3)]
    public void TheTrainer_DoesWhatCountingAnewAfterEachMergeDoes(int seed)
    {
        var random = new Random(seed);
        string[] texts =
        [
            .. Enumerable
                .Range(0, 20)
                .Select(_ => string.Concat(Enumerable.Range(0, random.Next(1, 60)).Select(_ => "aaab é"[random.Next(6)]))),
        ];
        var trained = BytePairTrainer.Run(texts, 256 + 40, CancellationToken.None);
        CollectionAssert.AreEqual(CountAnew(texts, 256 + 40), trained.Merges.ToArray());
    }

    [TestMethod]
    public void TheSizeAsked_EndsTheTraining()
    {
        var texts = new[] { "the cat sat on the mat and the rat sat on the cat" };
        Assert.AreEqual(256 + 5 + 1, BytePairTokenizer.Train(texts, 256 + 5, CancellationToken.None).VocabularySize);
        Assert.AreEqual(256 + 1, BytePairTokenizer.Train(texts, 256, CancellationToken.None).VocabularySize);
        Assert.AreEqual(256 + 1, BytePairTokenizer.Train([], 1000, CancellationToken.None).VocabularySize);
    }

    [TestMethod]
    public void TextIsEncoded_AsTheMergesSay()
    {
        var texts = new[] { "the cat's hat, the cat's mat: that's the hat that the cat sat on; 100 times, 1000 times é é é 😀😀 😀😀" };
        var trained = BytePairTrainer.Run(texts, 400, CancellationToken.None);
        var tokenizer = BytePairTokenizer.Train(texts, 400, CancellationToken.None);
        foreach (var text in new[] { texts[0], "that hat's 10 é😀 thecat  \n\n sat" })
        {
            var expected = new List<int>();
            foreach (var match in WordPattern.Gpt2.EnumerateMatches(text))
                expected.AddRange(Apply(trained.Merges, Encoding.UTF8.GetBytes(text.Substring(match.Index, match.Length)), trained.Tokens));
            CollectionAssert.AreEqual(expected, tokenizer.Encode(text));
        }
    }

    [TestMethod]
    public void OneLongWord_IsLearnedInReasonableTime()
    {
        var random = new Random(1);
        var word = string.Concat(Enumerable.Range(0, 200_000).Select(_ => (char)('a' + random.Next(8))));
        Assert.AreEqual(600, BytePairTrainer.Run([word], 600, CancellationToken.None).Tokens.Count);
    }

    [TestMethod]
    public void Training_CanBeCancelled()
    {
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.ThrowsExactly<OperationCanceledException>(() => BytePairTrainer.Run(["some text"], 300, source.Token));
    }

    [TestMethod]
    public void Files_AreReadAndWritten()
    {
        var folder = Directory.CreateTempSubdirectory("byte-pairs");
        try
        {
            var tokenizer = BytePairTokenizer.Train(["the cat sat on the mat, the cat"], 300, CancellationToken.None);
            tokenizer.Save(folder.FullName);
            CollectionAssert.AreEquivalent(new[] { "vocab.json", "merges.txt" }, folder.GetFiles().Select(file => file.Name).ToArray());

            var options = TokenizerOptions.BytePairFiles(
                Path.Combine(folder.FullName, "vocab.json"), Path.Combine(folder.FullName, "merges.txt"));
            var read = options.Create([], CancellationToken.None);
            CollectionAssert.AreEqual(tokenizer.Encode("the cat sat"), read.Encode("the cat sat"));
            Assert.AreEqual((TokenizerKind.BytePairFiles, tokenizer.VocabularySize), (read.Kind, read.VocabularySize));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [TestMethod]
    public void AVocabularyThatMarksTheEndsOfWords_IsRefused_WithTheMark()
    {
        // As CLIP's files have it: every byte with and without the mark, merges, two special tokens.
        string[] bytes = [.. Enumerable.Range(0, 256).Select(value => ByteCharacters.Of((byte)value).ToString())];
        string[] tokens = [.. bytes, .. bytes.Select(character => character + "</w>"), "ca", "cat</w>", "<|startoftext|>", "<|endoftext|>"];
        var error = Assert.ThrowsExactly<InvalidDataException>(() => ReadFiles(tokens, "#version: 0.2\nc a\nca t</w>\n"));
        StringAssert.Contains(error.Message, "vocab.json");
        StringAssert.Contains(
            error.Message,
            "marks the end of a word with '</w>', as CLIP's does: it has 256 tokens such as '!</w>' that no merge makes. GPT-2's format "
                + "is wanted");
    }

    [TestMethod]
    public void AVocabularyThatHasLearnedATag_IsReadAsItIs()
    {
        string[] bytes = [.. Enumerable.Range(0, 256).Select(value => ByteCharacters.Of((byte)value).ToString())];
        var read = ReadFiles([.. bytes, "</", "</w", "</w>", "a</w>"], "< /\n</ w\n</w >\na </w>\n");
        CollectionAssert.AreEqual(new[] { 'a', 256, 'w', '>' }, read.Encode("a</w>"), "words end before signs");
    }

    [TestMethod]
    public void AVocabularyWithEndOfText_HasItAsSeparator()
    {
        var vocabulary = string.Join(
            ",",
            Enumerable
                .Range(0, 256)
                .Select(value => $"{System.Text.Json.JsonSerializer.Serialize(ByteCharacters.Of((byte)value).ToString())}:{value + 1}"));
        var tokenizer = BytePairTokenizer.Parse(
            TokenizerKind.BytePairFiles,
            Encoding.UTF8.GetBytes($"{{\"<|endoftext|>\":0,{vocabulary},\"ab\":257}}"),
            "#version: 0.2\r\na b\r\n"u8.ToArray());
        Assert.AreEqual((0, 258), (tokenizer.SeparatorId, tokenizer.VocabularySize));
        CollectionAssert.AreEqual(new[] { 257, 'c' + 1 }, tokenizer.Encode("abc"));
        Assert.AreEqual("<|endoftext|>", tokenizer.Decode(tokenizer.Encode("<|endoftext|>")));
        CollectionAssert.DoesNotContain(tokenizer.Encode("<|endoftext|>"), 0, "a text that spells the separator is a text");
    }

    [TestMethod]
    [DataRow("{\"a\":0}", "", "lacks the byte")]
    [DataRow("{\"a\":0,\"b\":2}", "", "0 to 1")]
    [DataRow("{\"a\":\"b\"}", "", "JSON object")]
    [DataRow("{\"a\":0,\"b\":1}", "a b", "'a b'")]
    [DataRow("{\"a\":0,\"b\":1}", "ab", "'ab'")]
    public void BadFiles_AreNamed(string vocabulary, string merges, string message) =>
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidDataException>(() =>
                    BytePairTokenizer.Parse(TokenizerKind.BytePairFiles, Encoding.UTF8.GetBytes(vocabulary), Encoding.UTF8.GetBytes(merges)))
                .Message,
            message);

    private static TextTokenizer ReadFiles(IEnumerable<string> tokens, string merges)
    {
        var folder = Directory.CreateTempSubdirectory("byte-pairs");
        try
        {
            var (vocabularyFile, mergesFile) = (Path.Combine(folder.FullName, "vocab.json"), Path.Combine(folder.FullName, "merges.txt"));
            File.WriteAllText(
                vocabularyFile,
                System.Text.Json.JsonSerializer.Serialize(tokens.Index().ToDictionary(token => token.Item, token => token.Index)));
            File.WriteAllText(mergesFile, merges);
            return TokenizerOptions.BytePairFiles(vocabularyFile, mergesFile).Create([], CancellationToken.None);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    // The definition: count all pairs of all words, merge the most frequent one, start again.
    private static (int, int)[] CountAnew(string[] texts, int vocabularySize)
    {
        var words = texts
            .SelectMany(text =>
                WordPattern.Gpt2.Matches(text).Select(match => Encoding.UTF8.GetBytes(match.Value).Select(value => (int)value).ToList()))
            .ToArray();
        var merges = new List<(int, int)>();
        var tokens = Enumerable.Range(0, 256).Select(value => ((char)value).ToString()).ToList();
        while (tokens.Count < vocabularySize)
        {
            var best = words.SelectMany(word => word.Zip(word.Skip(1))).GroupBy(pair => pair)
                .Select(group => (Count: group.Count(), Pair: group.Key)).Where(pair => pair.Count >= 2)
                .OrderByDescending(pair => pair.Count).ThenBy(pair => pair.Pair.First).ThenBy(pair => pair.Pair.Second).FirstOrDefault();
            if (best.Count == 0)
                break;
            merges.Add(best.Pair);
            var text = tokens[best.Pair.First] + tokens[best.Pair.Second];
            var merged = tokens.IndexOf(text);
            if (merged < 0)
            {
                merged = tokens.Count;
                tokens.Add(text);
            }
            foreach (var word in words)
                Replace(word, best.Pair, merged);
        }
        return [.. merges];
    }

    private static List<int> Apply(IReadOnlyList<(int Left, int Right)> merges, byte[] word, IReadOnlyList<byte[]> tokens)
    {
        var ids = word.Select(value => (int)value).ToList();
        foreach (var merge in merges)
        {
            byte[] bytes = [.. tokens[merge.Left], .. tokens[merge.Right]];
            Replace(ids, merge, tokens.Select((token, id) => (token, id)).First(pair => pair.token.AsSpan().SequenceEqual(bytes)).id);
        }
        return ids;
    }

    private static void Replace(List<int> ids, (int Left, int Right) pair, int merged)
    {
        for (var i = 0; i + 1 < ids.Count; i++)
        {
            if (ids[i] == pair.Left && ids[i + 1] == pair.Right)
            {
                ids[i] = merged;
                ids.RemoveAt(i + 1);
            }
        }
    }
}
