using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Generalists;

/// <summary>
/// Texts of every length with every tokenizer: continued from their end, filled in without a loss, and classes that stay apart.
/// </summary>
[TestClass]
public sealed class GeneralistTextTests
{
    private const int TextLength = 20;

    private static readonly string[] Tasks = ["mood", "masked", "next"];
    private static readonly MLContext Ml = new(seed: 1);
    private static Dictionary<TokenizerKind, GeneralistTransformer> models = null!;

    [ClassInitialize]
    public static void Train(TestContext _) =>
        models = new[] { TokenizerOptions.Bytes, TokenizerOptions.Characters, TokenizerOptions.BytePairs(300) }.ToDictionary(
            tokenizer => tokenizer.Kind,
            tokenizer =>
            {
                var options = Toys.Options(Tasks);
                (options.Tokenizer, options.Epochs, options.PredictedTextLength) = (tokenizer, 2, 24);
                options.Alter(a => a with { TextLength = TextLength });
                return Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows(Tasks, 32, seed: 1)));
            }
        );

    [ClassCleanup]
    public static void Free()
    {
        foreach (var model in models.Values)
            model.Dispose();
    }

    [TestMethod]
    [DataRow(TokenizerKind.Bytes)]
    [DataRow(TokenizerKind.Characters)]
    [DataRow(TokenizerKind.BytePairs)]
    public void ATextWithMasks_KeepsAllElse_TheSpaceBeforeAMaskToo(TokenizerKind kind)
    {
        string[] texts =
        [
            "the [MASK] is happy",
            "[MASK] sun",
            "the sun [MASK]",
            "[MASK]",
            "sun[MASK]rain",
            "  [MASK]  [MASK]",
            "unknown ☃ [MASK] é",
            string.Join(" and ", Enumerable.Repeat("the [MASK] is [MASK]", 20)),
            string.Concat(Enumerable.Repeat("the sun is happy ", 20)) + "[MASK]",
            "[MASK]" + new string('a', 100),
            string.Concat(Enumerable.Repeat(" [MASK]", 60)),
        ];
        foreach (var (text, filled) in texts.Zip(Predict(kind, "masked", texts)))
        {
            // What stands between the masks comes again in its order, and something of at most one token between.
            var (pieces, place) = (text.Split("[MASK]"), 0);
            for (var piece = 0; piece < pieces.Length; piece++)
            {
                var found =
                    piece == pieces.Length - 1
                        ? filled.Length - pieces[piece].Length
                        : filled.IndexOf(pieces[piece], place, StringComparison.Ordinal);
                Assert.IsTrue(
                    found >= place && filled[found..].StartsWith(pieces[piece], StringComparison.Ordinal), $"'{text}' became '{filled}'");
                if (piece == 0)
                    Assert.AreEqual(0, found, $"'{text}' became '{filled}'");
                place = found + pieces[piece].Length;
            }
            Assert.IsFalse(filled.Contains("[MASK]", StringComparison.Ordinal), filled);
            if (kind == TokenizerKind.Characters)
                Assert.AreEqual(text.Replace("[MASK]", ".", StringComparison.Ordinal).Length, filled.Length, "a mask is one character");
        }
    }

    [TestMethod]
    [DataRow(TokenizerKind.Bytes)]
    [DataRow(TokenizerKind.Characters)]
    [DataRow(TokenizerKind.BytePairs)]
    public void ARowIsFilledInAlike_WhateverItsNeighbours(TokenizerKind kind)
    {
        string[] texts =
        [
            "no mask, ☃ and all",
            "the [MASK] is sad",
            string.Concat(Enumerable.Repeat("no mask at all ", 9)),
            string.Concat(Enumerable.Repeat("the [MASK] is happy ", 9)),
            "x",
        ];
        var together = Predict(kind, "masked", texts);
        for (var row = 0; row < texts.Length; row++)
            Assert.AreEqual(Predict(kind, "masked", texts[row]).Single(), together[row], texts[row]);
        Assert.AreEqual(
            (texts[0], texts[2], texts[4]), (together[0], together[2], together[4]), "without a mask there is nothing to change");
    }

    [TestMethod]
    public void AMask_IsNeverFilledWithNothing()
    {
        var model = models[TokenizerKind.Characters];
        var filled = Predict(
            TokenizerKind.Characters,
            "masked",
            [.. Enumerable.Range(1, 15).Select(count => string.Concat(Enumerable.Repeat("[MASK]", count)))]);
        for (var count = 1; count <= 15; count++)
            Assert.AreEqual(count, filled[count - 1].Length, "neither the end nor what stands for unknown characters");
        Assert.IsFalse(filled.Any(text => text.Contains('\uFFFD')));
        Assert.IsNotNull(model.Tokenizer.UnknownId);
    }

    [TestMethod]
    public void ASpaceThatWasFoundForAMask_Stays()
    {
        var texts = new GeneralistTexts(models[TokenizerKind.BytePairs].Tokenizer, mostTokens: 24);
        Assert.IsTrue(texts.TokensBeginWithSpaces);
        var text = new MaskedText(texts, "[MASK]", "the [MASK] is");
        text.Answer(texts.Tokenizer.Encode(" "));
        Assert.AreEqual("the   is", text.Filled());
    }

    [TestMethod]
    public void WindowsOfALongText_TellEveryMaskOnce_AndUseWhatWasFound()
    {
        var texts = new GeneralistTexts(new ByteTokenizer(), mostTokens: 9);
        Assert.IsFalse(texts.TokensBeginWithSpaces);
        var text = new MaskedText(texts, "_", "_bcdefghij_l_nopqrs_");
        var (told, windows) = (0, new List<string>());
        while (text.IsOpen)
        {
            var (tokens, asked) = text.NextWindow(8);
            windows.Add($"{string.Concat(tokens.Select(id => id is { } known ? (char)known : '_'))} {asked}");
            text.Answer(Enumerable.Range(0, asked).Select(_ => '0' + told++));
        }
        CollectionAssert.AreEqual(new[] { "_bcdefgh 1", "ij_l_nop 2", "2nopqrs_ 1" }, windows, string.Join(" | ", windows));
        Assert.AreEqual("0bcdefghij1l2nopqrs3", text.Filled());
    }

    [TestMethod]
    public void ALongPrompt_IsContinuedFromItsEnd_ForAsManyTokensAsWereAskedFor()
    {
        // Letters in a circle, longer than the model's texts: what follows is plain from the end alone.
        const string Circle = "abcde";
        string From(int start, int length) => string.Concat(Enumerable.Range(start, length).Select(place => Circle[place % Circle.Length]));
        var options = Toys.Options("next");
        (options.Tokenizer, options.Epochs, options.PredictedTextLength) = (TokenizerOptions.Bytes, 100, 6);
        options.Alter(a => a with { TextLength = TextLength });
        using var model = Ml
            .Transforms.UniPerceiverGeneralist(options)
            .Fit(Toys.View(Ml, Enumerable.Range(0, 40).Select(start => new GeneralistRow { Task = "next", Text = From(start, 40) })));

        int[] lengths = [1, 10, TextLength - 2, TextLength - 1, TextLength, 101, 103];
        var rows = lengths
            .SelectMany(length => Enumerable.Range(0, 5).Select(start => (Text: From(start, length), Next: From(start + length, 6))))
            .ToArray();
        var found = model
            .ForTask("next")
            .Transform(Toys.View(Ml, rows.Select(row => new GeneralistRow { Text = row.Text })))
            .GetColumn<string>("PredictedText")
            .ToArray();
        for (var row = 0; row < rows.Length; row++)
            Assert.AreEqual(rows[row].Next, found[row], rows[row].Text);
    }

    [TestMethod]
    public void ClassesThatAreOneOnceCut_AreRefused_WithTheirNames()
    {
        string[] names = ["happy as the day is long", "happy as the day is bright", "sad"];
        var options = Toys.Options("mood");
        options.Tokenizer = TokenizerOptions.Bytes;
        options.Alter(a => a with { TextLength = TextLength });
        var rows = Toys.Rows("mood", 12, seed: 1);
        for (var row = 0; row < rows.Count; row++)
            rows[row].Label = names[row % 3];

        // Declared, and found in the data.
        foreach (var classes in new[] { names, null })
        {
            options.Tasks = [options.Tasks[0] with { ClassNames = classes }];
            var message = Assert
                .ThrowsExactly<ArgumentException>(() => Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, rows)))
                .Message;
            StringAssert.Contains(message, "['happy as the day is long', 'happy as the day is bright'] of task 'mood'");
            StringAssert.Contains(message, "'happy as the day is'");
        }

        var task = new GeneralistTask
        {
            Name = "mood",
            Kind = GeneralistTaskKind.TextClassification,
            ClassNames = names,
        };
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => models[TokenizerKind.Bytes].ForTask(task)).Message,
            "'happy as the day is bright'");
        var unknown = task with { ClassNames = ["日", "本"] };
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => models[TokenizerKind.Characters].ForTask(unknown)).Message, "['日', '本']");
        Assert.HasCount(2, models[TokenizerKind.Bytes].ForTask(unknown).Task.ClassNames!);

        // What an earlier version has saved can still be read.
        using var saved = new MemoryStream();
        Ml.Model.Save(models[TokenizerKind.Bytes].Open(task), null, saved);
        saved.Position = 0;
        var loaded = (GeneralistTaskTransformer)Ml.Model.Load(saved, out _);
        CollectionAssert.AreEqual(names, loaded.Task.ClassNames!.ToArray());
        loaded.Generalist.Dispose();
    }

    private static string[] Predict(TokenizerKind kind, string task, params string[] texts) =>
        [
            .. models[kind]
                .ForTask(task)
                .Transform(Toys.View(Ml, texts.Select(text => new GeneralistRow { Text = text })))
                .GetColumn<string>("PredictedText"),
        ];
}
