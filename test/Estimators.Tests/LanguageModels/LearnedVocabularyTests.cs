using Estimators.Tests.Generalists;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.LanguageModels;

/// <summary>A vocabulary is learned from what a model is trained on; what it is measured on may have characters of its own.</summary>
[TestClass]
public sealed class LearnedVocabularyTests
{
    // The last three tenths have characters and words that the rest lack.
    private static readonly TextRow[] Texts =
    [
        .. Enumerable
            .Repeat("the cat sat on the mat", 14)
            .Concat(Enumerable.Repeat("ZEBRAS ☃ ZEBRAS ☃ Zoos", 6))
            .Select(text => new TextRow { Text = text }),
    ];

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void Characters_AreThoseOfTheTrainingPart(bool ownValidationData)
    {
        var (ml, options) = (new MLContext(seed: 1), Rhymes.Options());
        (options.Epochs, options.Tokenizer, options.ValidationFraction) = (2, TokenizerOptions.Characters, ownValidationData ? 0 : 0.3);
        var log = new LogMessages(ml);
        var estimator = ml.Transforms.Text.PeerLanguageModel(options);
        using var model = ownValidationData
            ? estimator.Fit(ml.Data.LoadFromEnumerable(Texts[..14]), ml.Data.LoadFromEnumerable(Texts[14..]))
            : estimator.Fit(ml.Data.LoadFromEnumerable(Texts));

        Assert.AreEqual(" acehmnost", string.Concat(((CharacterTokenizer)model.Tokenizer).Characters));
        Assert.AreEqual(6 * 22L, model.Training!.ValidationTokens);
        Assert.AreEqual((14 * 22L) + 14, model.Training.TrainingTokens);

        // Unknown ones are predicted as such: badly, but with a number.
        Assert.IsTrue(model.History.All(epoch => double.IsFinite(epoch.Validation!.Loss) && epoch.Validation.Loss > Math.Log(12)));
        Assert.IsTrue(
            log.All.Any(line =>
                line.Contains(
                    "Of the validation data 90 of 132 tokens are characters that the training data lack", StringComparison.Ordinal)),
            string.Join("\n", log.All));
    }

    [TestMethod]
    public void BytePairs_AreThoseOfTheTrainingPart()
    {
        var (ml, options) = (new MLContext(seed: 1), Rhymes.Options());
        (options.Epochs, options.Tokenizer, options.ValidationFraction) = (1, TokenizerOptions.BytePairs(400), 0.3);
        using var model = ml.Transforms.Text.PeerLanguageModel(options).Fit(ml.Data.LoadFromEnumerable(Texts));
        var tokenizer = (BytePairTokenizer)model.Tokenizer;
        var wanted = BytePairTokenizer.Train(Texts[..14].Select(row => row.Text!), 400, CancellationToken.None);
        CollectionAssert.AreEqual(wanted.Merges.ToArray(), tokenizer.Merges.ToArray());
        Assert.IsTrue(tokenizer.Encode(" ZEBRAS").All(token => token < 256), "no merge has seen them");
        Assert.AreEqual(Texts[14..].Sum(row => (long)tokenizer.Encode(row.Text).Length), model.Training!.ValidationTokens);
    }

    [TestMethod]
    public void TextsAreCut_BetweenCharacters_WithNothingLost()
    {
        var (first, last) = TextSplit.Cut(["ab😀", "", "c😀de", "f", ""], 0.5);
        CollectionAssert.AreEqual(new[] { "ab😀", "", "c", "" }, first);
        CollectionAssert.AreEqual(new[] { "😀de", "f" }, last);
        (first, last) = TextSplit.Cut(["abc\uD83D"], 0.01);
        CollectionAssert.AreEqual(new[] { "abc" }, first);
        CollectionAssert.AreEqual(new[] { "\uD83D" }, last);
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => TextSplit.Cut(["a"], 0.1)).Message,
            "ValidationFraction is 0.1, which leaves nothing of 1 characters");
    }

    [TestMethod]
    public void AGeneralistsVocabulary_HasSeenNoValidationData()
    {
        var (ml, options) = (new MLContext(seed: 1), Toys.Options("masked", "mood"));
        (options.Epochs, options.Tokenizer) = (1, TokenizerOptions.Characters);
        var log = new LogMessages(ml);
        var held = Toys.Rows(["masked", "mood"], 8, seed: 2);
        foreach (var row in held)
            row.Text = "☃ ZZ";
        using var model = ml
            .Transforms.UniPerceiverGeneralist(options)
            .Fit(Toys.View(ml, Toys.Rows(["masked", "mood"], 16, seed: 1)), Toys.View(ml, held));
        var known = ((CharacterTokenizer)model.Tokenizer).Characters;
        Assert.IsFalse(known.Any(character => character.Value is '☃' or 'Z'));
        Assert.IsTrue(model.History.All(epoch => double.IsFinite(epoch.Validation!.Loss)));
        Assert.IsTrue(
            log.All.Any(line =>
                line.Contains("48 tokens of the validation data are characters that the training data lack", StringComparison.Ordinal)),
            string.Join("\n", log.All));
    }
}
