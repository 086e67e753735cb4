using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Generalists;

/// <summary>How rows, texts and videos are read, and how predictions are judged.</summary>
[TestClass]
public sealed class GeneralistDataTests
{
    private static readonly MLContext Ml = new(seed: 1);

    [TestMethod]
    public void AClassWhoseRowsAreAllSetApart_IsAClassAllTheSame()
    {
        var ml = new MLContext(seed: 1);
        for (var seed = 1; seed <= 3; seed++)
        {
            var rows = Toys.Rows("mood", 12, seed: 4);
            rows[0].Label = "calm";   // the only one
            var options = Toys.Options("mood");
            options.Tasks = [options.Tasks[0] with { ClassNames = null }];
            (options.Epochs, options.Seed, options.ValidationFraction) = (1, seed, 0.75);
            using var model = ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(ml, rows));
            CollectionAssert.Contains(model.Tasks[0].ClassNames!.ToArray(), "calm");
            Assert.AreEqual(3, model.Training!.Examples["mood"]);
        }
    }

    [TestMethod]
    public void AModel_LearnsFromCombinedViews()
    {
        var colours = Ml.Data.LoadFromEnumerable(Colours.Rows(32));
        var moods = Ml.Data.LoadFromEnumerable(Toys.Rows("mood", 32, seed: 1).Select(row => new { row.Text, row.Label }));
        var options = Toys.Options("colour", "mood");
        (options.Epochs, options.GradientAccumulation) = (10, 2);
        using var model = Ml.Transforms.UniPerceiverGeneralist(options).Fit(Ml.Data.CombineTasks(("colour", colours), ("mood", moods)));
        Assert.IsGreaterThan(0.8, Toys.Accuracy(Ml, model.ForTask("colour"), Toys.Rows("colour", 40, seed: 2)));
    }

    [TestMethod]
    public void AFolderOfFrames_IsAVideo()
    {
        var folder = Directory.CreateTempSubdirectory("moe-ml-frames-");
        try
        {
            var pictures = Colours.Pictures(3);
            string[] names = ["frame1.png", "frame2.png", "frame10.png"];   // 10 comes after 2
            foreach (var row in pictures)
                row.Features!.Save(Path.Combine(folder.FullName, names[row.Id]));
            File.WriteAllText(Path.Combine(folder.FullName, "notes.txt"), "no frame");
            var view = Ml.Data.LoadFromEnumerable([
                new { Video = folder.FullName },
                new { Video = folder.FullName + "-absent" },
                new { Video = "" },
            ]);
            var env = (Microsoft.ML.Runtime.IHostEnvironment)Ml;
            var column = PictureColumn.FindVideos(env, view.Schema, "Video", frames: 4, new ImageShape(3, 12, 10), default);
            using var cursor = view.GetRowCursor(view.Schema);
            var reader = column.OpenReader(cursor);
            var frames = new byte[column.ByteCount];
            Assert.AreEqual(4 * 3 * 12 * 10, frames.Length);

            Assert.IsTrue(cursor.MoveNext() && reader.TryRead(frames));
            int[] order = [0, 0, 1, 2];   // frames 0, 3/4, 6/4 and 9/4 of three
            for (var frame = 0; frame < 4; frame++)
            {
                var wanted = new byte[360];
                new PictureResizer(new ImageShape(3, 12, 10), default).Write(pictures[order[frame]].Features!, wanted);
                CollectionAssert.AreEqual(wanted, frames[(frame * 360)..((frame + 1) * 360)], $"frame {frame}");
            }
            Assert.IsFalse(cursor.MoveNext() && reader.TryRead(frames));
            Assert.IsFalse(cursor.MoveNext() && reader.TryRead(frames));
            Assert.AreEqual(2, reader.Unreadable.Count);
            StringAssert.Contains(
                Assert
                    .ThrowsExactly<ArgumentException>(() => PictureColumn.FindVideos(env, view.Schema, "Video", 4, null, default))
                    .Message,
                "'Video'");

            foreach (var file in folder.EnumerateFiles("*.png"))
                file.Delete();
            using var again = view.GetRowCursor(view.Schema);
            var empty = column.OpenReader(again);
            Assert.IsFalse(again.MoveNext() && empty.TryRead(frames));
            StringAssert.Contains(empty.Unreadable.FirstFailure, "has no frames");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [TestMethod]
    public void TooLongTexts_LoseTheirLastTokens()
    {
        var texts = new GeneralistTexts(new ByteTokenizer(), mostTokens: 6);
        CollectionAssert.AreEqual(new[] { 97, 98, 256 }, texts.Encode("ab"));
        CollectionAssert.AreEqual(new[] { 97, 98, 99, 100, 101, 256 }, texts.Encode("abcde"));
        Assert.AreEqual(0, texts.Cut);
        CollectionAssert.AreEqual(new[] { 97, 98, 99, 100, 101, 256 }, texts.Encode("abcdef"));
        CollectionAssert.AreEqual(new[] { 97, 98, 99, 256, 120, 256 }, texts.Encode("abc", "x"));
        Assert.AreEqual(1, texts.Cut);
        CollectionAssert.AreEqual(new[] { 97, 98, 256, 120, 121, 256 }, texts.Encode("abcd", "xyz"));
        CollectionAssert.AreEqual(new[] { 97, 256, 118, 119, 120, 256 }, texts.Encode("a", "vwxyz"));
        CollectionAssert.AreEqual(new[] { 97, 98, 99, 256, 120, 256 }, texts.Encode("abcdef", "x"));
        Assert.AreEqual(4, texts.Cut);
    }

    [TestMethod]
    [DataRow(GeneralistTaskKind.CausalLanguageModel, true)]
    [DataRow(GeneralistTaskKind.ImageCaption, true)]
    [DataRow(GeneralistTaskKind.VideoCaption, true)]
    [DataRow(GeneralistTaskKind.MaskedLanguageModel, false)]
    [DataRow(GeneralistTaskKind.ImageTextRetrieval, false)]
    public void ACutText_HasNoEnd_WhereWordsArePredictedInTheirOrder(GeneralistTaskKind kind, bool goesOn)
    {
        var (texts, task) = (new GeneralistTexts(new ByteTokenizer(), mostTokens: 6), new GeneralistTask { Name = "a", Kind = kind });
        CollectionAssert.AreEqual(new[] { 97, 98, 99, 100, 101, 256 }, texts.Encode(task, "abcde"));
        Assert.AreEqual(0, texts.Cut);
        foreach (var text in new[] { "abcdef", "abcdefghi" })
            CollectionAssert.AreEqual(new[] { 97, 98, 99, 100, 101, goesOn ? 102 : 256 }, texts.Encode(task, text));
        Assert.AreEqual(2, texts.Cut);
    }

    [TestMethod]
    public void Bleu_IsThatOfThePaper()
    {
        // Six of seven "the", of which a reference has two at most: 2/7.
        Assert.AreEqual(
            2 / 7.0,
            Bleu.Corpus(
                ["the the the the the the the"],
                [
                    ["The cat is on the mat.", "There is a cat on the mat."],
                ],
                1),
            1e-12);

        // "a b c d e": 4 of 5 words, 2 of 4 pairs; as long as the reference.
        Assert.AreEqual(Math.Sqrt(4 / 5.0 * 2 / 4.0), Bleu.Corpus(["a b c d e"], [["a b x d e"]], 2), 1e-12);

        // Half as long as the nearest reference: exp(1 − 2); what is short of four words in a row has none.
        Assert.AreEqual(Math.Exp(-1), Bleu.Corpus(["a b"], [["a b c d", "a b c d e f"]], 2), 1e-12);
        Assert.AreEqual(0, Bleu.Corpus(["a b c"], [["a b c"]], 4));
        Assert.AreEqual(1, Bleu.Corpus(["a b c d", "a"], [["a b c d"], ["A!"]], 4), 1e-12);
        Assert.ThrowsExactly<ArgumentException>(() => Bleu.Corpus(["a"], [], 4));
    }

    [TestMethod]
    public void Recall_CountsTheNearest()
    {
        // Picture 0 has texts 0 and 1, picture 1 has text 2. On a line of angles: pictures at 0° and 90°, texts at 60°, 10° and 40°.
        static float[] At(double degrees) => [(float)Math.Cos(degrees * Math.PI / 180), (float)Math.Sin(degrees * Math.PI / 180)];
        var metrics = RetrievalMetrics.Measure([At(0), At(90)], [At(60), At(10), At(40)], [(0, 0), (0, 1), (1, 2)]);
        Assert.AreEqual((2, 3), (metrics.Pictures, metrics.Texts));
        Assert.AreEqual(0.5, metrics.TextRecall.At1);            // nearest to 0° is 10°; to 90° it is 60°, of the other
        Assert.AreEqual(1, metrics.TextRecall.At5);
        Assert.AreEqual(1 / 3.0, metrics.PictureRecall.At1, 1e-12);   // 60° is nearer to 90°, 40° to 0°
        Assert.AreEqual(1, metrics.PictureRecall.At5);

        // A model that calls everything alike finds nothing.
        Assert.AreEqual(0, RetrievalMetrics.Measure([At(0), At(0)], [At(0), At(0)], [(0, 0), (1, 1)]).TextRecall.At1);
    }
}
