using System.Text;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Tokenizers;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Text;

/// <summary>What every tokenizer promises.</summary>
[TestClass]
public sealed class TextTokenizerTests
{
    private const string Sample =
        "First Citizen:\nBefore we proceed any further, hear me speak.\n\n\tThe cat's 12345 cafés — naïve 😀👩‍👩‍👧 \0 日本語  \r\n "
            + "end<|endoftext|> ";

    public static IEnumerable<object[]> Tokenizers =>
    [
        ["bytes", TokenizerOptions.Bytes],
        ["characters", TokenizerOptions.Characters],
        ["byte pairs", TokenizerOptions.BytePairs(300)],
        ["gpt2", TokenizerOptions.Tiktoken("gpt2")],
        ["cl100k_base", TokenizerOptions.Tiktoken("cl100k_base")],
    ];

    [TestMethod]
    [DynamicData(nameof(Tokenizers))]
    public void Text_ComesBack(string name, TokenizerOptions options)
    {
        var tokenizer = options.Create([Sample], CancellationToken.None);
        var ids = tokenizer.Encode(Sample);
        Assert.AreEqual(Sample, tokenizer.Decode(ids), name);
        Assert.IsTrue(ids.All(id => id >= 0 && id < tokenizer.VocabularySize), name);
        CollectionAssert.DoesNotContain(ids, tokenizer.SeparatorId, $"{name}: no text encodes to the separator");
        Assert.AreEqual(Encoding.UTF8.GetByteCount(Sample), ids.Sum(id => tokenizer.GetBytes(id).Length), name);
    }

    [TestMethod]
    [DynamicData(nameof(Tokenizers))]
    public void NothingAndSpecials_HaveDefinedResults(string name, TokenizerOptions options)
    {
        var tokenizer = options.Create([Sample], CancellationToken.None);
        Assert.IsEmpty(tokenizer.Encode(null), name);
        Assert.IsEmpty(tokenizer.Encode(""), name);
        Assert.AreEqual("", tokenizer.Decode([tokenizer.SeparatorId]), name);
        Assert.AreEqual(0, tokenizer.GetBytes(tokenizer.SeparatorId).Length, name);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => tokenizer.Decode([tokenizer.VocabularySize]), name);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => tokenizer.Decode([-1]), name);
    }

    [TestMethod]
    [DynamicData(nameof(Tokenizers))]
    public void HalfASurrogatePair_IsTheReplacementCharacter(string name, TokenizerOptions options)
    {
        var tokenizer = options.Create([Sample + "b\uFFFD"], CancellationToken.None);
        foreach (var broken in new[] { "a\uD83Db", "a\uDE00b", "ab\uD83D", "\uDE00\uD83D" })
        {
            var expected = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(broken));
            Assert.AreEqual(expected, tokenizer.Decode(tokenizer.Encode(broken)), name);
            CollectionAssert.AreEqual(tokenizer.Encode(expected), tokenizer.Encode(broken), name);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Tokenizers))]
    public void ADescriptionWithItsFiles_MakesTheSameTokenizer(string name, TokenizerOptions options)
    {
        var tokenizer = options.Create([Sample], CancellationToken.None);
        var again = tokenizer.Describe().Open(file => tokenizer.Files[file]);
        Assert.AreEqual(
            (tokenizer.Kind, tokenizer.VocabularySize, tokenizer.SeparatorId, tokenizer.UnknownId),
            (again.Kind, again.VocabularySize, again.SeparatorId, again.UnknownId),
            name);
        CollectionAssert.AreEqual(tokenizer.Encode(Sample), again.Encode(Sample), name);
        for (var id = 0; id < tokenizer.VocabularySize; id++)
            CollectionAssert.AreEqual(tokenizer.GetBytes(id), again.GetBytes(id), name);
    }

    [TestMethod]
    public void Bytes_AreTheirOwnIds()
    {
        var tokenizer = new ByteTokenizer();
        CollectionAssert.AreEqual(new[] { 'a', 0xC3, 0xA9, 0xF0, 0x9F, 0x98, 0x80 }, tokenizer.Encode("aé😀"));
        Assert.AreEqual("\uFFFD!", tokenizer.Decode([0xF0, 0x9F, '!']), "a character that breaks off is one replacement character");
        Assert.AreEqual((257, 256), (tokenizer.VocabularySize, tokenizer.SeparatorId));
    }

    [TestMethod]
    public void Characters_AreSortedAndUnknownOnesHaveAToken()
    {
        var tokenizer = TokenizerOptions.Characters.Create(["bab", "😀a"], CancellationToken.None);
        Assert.AreEqual((5, 0, 1), (tokenizer.VocabularySize, tokenizer.SeparatorId, tokenizer.UnknownId));
        CollectionAssert.AreEqual(new[] { 3, 2, 4, 1 }, tokenizer.Encode("ba😀é"));
        Assert.AreEqual("ba😀\uFFFD", tokenizer.Decode(tokenizer.Encode("ba😀é")));
    }

    [TestMethod]
    public void Characters_NeedText() =>
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() => TokenizerOptions.Characters.Create(["", ""], CancellationToken.None))
                .Message,
            "at least one");

    [TestMethod]
    [DataRow("gpt2")]
    [DataRow("cl100k_base")]
    [DataRow("o200k_base")]
    public void NamedEncodings_AreThoseOfMicrosoftMLTokenizers(string encoding)
    {
        var reference = encoding == "gpt2" ? TiktokenTokenizer.CreateForModel(encoding) : TiktokenTokenizer.CreateForEncoding(encoding);
        var tokenizer = TokenizerOptions.Tiktoken(encoding).Create([], CancellationToken.None);
        foreach (
            var text in new[]
            {
                "Hello, World! I'LL  see\n\n you 1234567 times.",
                "camelCaseWord'S don't",
                Sample.Replace("<|endoftext|>", "", StringComparison.Ordinal),
                "a\r\n b/\n",
                " \t x",
            }
        )
            CollectionAssert.AreEqual(
                reference.EncodeToIds(text, considerPreTokenization: true).ToArray(), tokenizer.Encode(text), $"{encoding}: {text}");
    }

    [TestMethod]
    public void AnEncodingWithoutItsPackage_NamesThePackage() =>
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() => TokenizerOptions.Tiktoken("r50k_base").Create([], CancellationToken.None))
                .Message,
            "Microsoft.ML.Tokenizers.Data.R50kBase");

    [TestMethod]
    public void WrongOptions_AreNamed()
    {
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => TokenizerOptions.Tiktoken("p50k")).Message, "'p50k'");
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => TokenizerOptions.BytePairs(255)).Message, "255");
        Assert.ThrowsExactly<ArgumentException>(() => TokenizerOptions.BytePairFiles("", "merges.txt"));
    }

    [TestMethod]
    public void ADamagedDescription_IsInvalidData()
    {
        Assert.ThrowsExactly<InvalidDataException>(() => new TokenizerDocument { Kind = TokenizerKind.Characters }.Open(_ => []));
        Assert.ThrowsExactly<InvalidDataException>(() =>
            new TokenizerDocument { Kind = TokenizerKind.Tiktoken, Encoding = "none" }.Open(_ => []));
        Assert.ThrowsExactly<InvalidDataException>(() =>
            new TokenizerDocument { Kind = TokenizerKind.Tiktoken, Encoding = "gpt2" }.Open(_ => "IQ== zero"u8.ToArray()));
        Assert.ThrowsExactly<InvalidDataException>(() => new TokenizerDocument { Kind = (TokenizerKind)99 }.Open(_ => []));
        Assert.ThrowsExactly<InvalidDataException>(() =>
            new TokenizerDocument { Kind = TokenizerKind.BytePairs }.Open(_ => "{"u8.ToArray()));
    }
}
