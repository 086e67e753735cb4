using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Generalists;

/// <summary>Texts of every length with every tokenizer: classes that stay apart.</summary>
[TestClass]
public sealed class GeneralistTextTests
{
    private const int TextLength = 20;

    private static readonly string[] Tasks = ["mood", "masked", "next"];
    private static readonly MLContext Ml = new(seed: 1);
    private static Dictionary<TokenizerKind, GeneralistTransformer> models = null!;

    [ClassInitialize]
    public static void Train(TestContext _) =>
        models = new[] { TokenizerOptions.Bytes, TokenizerOptions.Characters }.ToDictionary(tokenizer => tokenizer.Kind, tokenizer =>
        {
            var options = Toys.Options(Tasks);
            (options.Tokenizer, options.TextLength, options.Epochs, options.PredictedTextLength) = (tokenizer, TextLength, 2, 24);
            return Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows(Tasks, 32, seed: 1)));
        });

    [ClassCleanup]
    public static void Free()
    {
        foreach (var model in models.Values)
            model.Dispose();
    }

    [TestMethod]
    public void ClassesThatAreOneOnceCut_AreRefused_WithTheirNames()
    {
        string[] names = ["happy as the day is long", "happy as the day is bright", "sad"];
        var options = Toys.Options("mood");
        (options.Tokenizer, options.TextLength) = (TokenizerOptions.Bytes, TextLength);
        var rows = Toys.Rows("mood", 12, seed: 1);
        for (var row = 0; row < rows.Count; row++)
            rows[row].Label = names[row % 3];

        // Declared, and found in the data.
        foreach (var classes in new[] { names, null })
        {
            options.Tasks = [options.Tasks[0] with { ClassNames = classes }];
            var message = Assert.ThrowsExactly<ArgumentException>(() => Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, rows))).Message;
            StringAssert.Contains(message, "['happy as the day is long', 'happy as the day is bright'] of task 'mood'");
            StringAssert.Contains(message, "'happy as the day is'");
        }

        var task = new GeneralistTask { Name = "mood", Kind = GeneralistTaskKind.TextClassification, ClassNames = names };
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => models[TokenizerKind.Bytes].ForTask(task)).Message, "'happy as the day is bright'");
        var unknown = task with { ClassNames = ["日", "本"] };
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => models[TokenizerKind.Characters].ForTask(unknown)).Message, "['日', '本']");
        Assert.HasCount(2, models[TokenizerKind.Bytes].ForTask(unknown).Task.ClassNames!);

        // What an earlier version has saved can still be read.
        using var saved = new MemoryStream();
        Ml.Model.Save(models[TokenizerKind.Bytes].Open(task), null, saved);
        saved.Position = 0;
        var loaded = (GeneralistTaskTransformer)Ml.Model.Load(saved, out _);
        CollectionAssert.AreEqual(names, loaded.Task.ClassNames!.ToArray());
        loaded.Generalist.Dispose();
    }
}
