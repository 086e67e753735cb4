using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Transforms;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Scoring;

/// <summary>A picture that is missing or broken costs its own row and no other.</summary>
[TestClass]
public sealed class UnreadablePicturesTests
{
    private const int Rows = 60;

    private static readonly int[] Unreadable = [4, 7, 11, 59];

    private readonly MLContext ml = new(seed: 1);
    private readonly PictureFiles files = new(Rows, noImage: 4, empty: 7, noPath: 11, absent: 59);
    private readonly LogMessages log;

    public UnreadablePicturesTests() => log = new LogMessages(ml);

    [TestCleanup]
    public void Delete() => files.Dispose();

    [TestMethod]
    [DataRow(null, null, DisplayName = "LoadImages")]
    [DataRow(8, 8, DisplayName = "LoadImages, ResizeImages")]
    [DataRow(10, 12, DisplayName = "LoadImages, ResizeImages to the size they have")]
    public void TheRow_ScoresNaN_TheOthersScoreAsAlone_AndOneWarningCountsThem(int? width, int? height)
    {
        using var model = Fit(width, height);
        StringAssert.Contains(
            log.TakeWarnings().Single(),
            "Of the training data 56 rows are used; 4 have no readable image in column 'Features' (the first: ");

        using var clean = new PictureFiles(Rows);
        var cleanRows = clean.Rows(ml);
        var expected = Scores(model.LastTransformer.Transform(Pictures(clean, width, height).Fit(cleanRows).Transform(cleanRows)));
        Assert.IsEmpty(log.TakeWarnings());

        var scored = model.Transform(files.Rows(ml));
        var scores = Scores(scored);
        Assert.HasCount(Rows, scores);
        StringAssert.Contains(
            log.TakeWarnings().Single(), "Of the rows to score 4 have no readable image in column 'Features' (the first: ");
        for (var row = 0; row < Rows; row++)
        {
            if (Unreadable.Contains(row))
                Assert.IsTrue(scores[row].All(float.IsNaN), $"row {row}");
            else
                CollectionAssert.AreEqual(expected[row], scores[row], Near, $"row {row}");
        }
        CollectionAssert.AreEqual(
            Unreadable,
            scored
                .GetColumn<string>("PredictedLabel")
                .Index()
                .Where(row => string.IsNullOrEmpty(row.Item))
                .Select(row => row.Index)
                .ToArray());

        log.TakeWarnings();
        Assert.IsGreaterThan(0.9, ml.MulticlassClassification.Evaluate(scored).MicroAccuracy);
        Assert.AreEqual(1, log.TakeWarnings().Count(m => m.Contains("Of the rows to score 4 ", StringComparison.Ordinal)));
    }

    [TestMethod]
    public void CursorsThatShareTheRows_WarnOnce()
    {
        using var model = Fit(8, 8);
        var scored = model.Transform(files.Rows(ml));
        log.TakeWarnings();
        var cursors = scored.GetRowCursorSet([scored.Schema["Score"]], 3);
        Assert.IsGreaterThan(1, cursors.Length);
        cursors.AsParallel().WithDegreeOfParallelism(cursors.Length).ForAll(cursor =>
        {
            using (cursor)
            {
                while (cursor.MoveNext())
                {
                }
            }
        });
        StringAssert.Contains(log.TakeWarnings().Single(), "Of the rows to score 4 have no readable image");
    }

    [TestMethod]
    public void ReadRowByRow_TheRowsScoreNaNToo()
    {
        using var model = Fit(8, 8);
        var scored = model.Transform(files.Rows(ml));
        log.TakeWarnings();
        var missing = new List<int>();
        // Pictures cannot be read ahead.
        using (var cursor = scored.GetRowCursor([scored.Schema["Features"], scored.Schema["Id"], scored.Schema["Score"]]))
        {
            var getId = cursor.GetGetter<int>(scored.Schema["Id"]);
            var getScore = cursor.GetGetter<VBuffer<float>>(scored.Schema["Score"]);
            VBuffer<float> score = default;
            var id = 0;
            while (cursor.MoveNext())
            {
                getScore(ref score);
                getId(ref id);
                if (score.DenseValues().All(float.IsNaN))
                    missing.Add(id);
            }
        }
        CollectionAssert.AreEqual(Unreadable, missing);
        StringAssert.Contains(log.TakeWarnings().Single(), "Of the rows to score 4 have no readable image");
    }

    [TestMethod]
    public void APredictionEngine_WarnsAtOnce_AndGoesOn()
    {
        var model = Fit(8, 8);
        log.TakeWarnings();
        using var engine = ml.Model.CreatePredictionEngine<PictureFile, Prediction>(model);
        Assert.AreEqual(1, engine.Predict(new PictureFile { Path = "0.png" }).Score.Sum(), 1e-5);
        Assert.IsEmpty(log.TakeWarnings());

        foreach (var path in new[] { "", "4.png", "59.png" })
        {
            var prediction = engine.Predict(new PictureFile { Path = path });
            Assert.IsTrue(prediction.Score.All(float.IsNaN), path);
            Assert.IsTrue(string.IsNullOrEmpty(prediction.PredictedLabel), path);
            StringAssert.Contains(log.TakeWarnings().Single(), "Of the rows to score 1 have no readable image in column 'Features'");
            Assert.AreEqual(1, engine.Predict(new PictureFile { Path = "1.png" }).Score.Sum(), 1e-5);
        }
        Assert.IsEmpty(log.TakeWarnings());
    }

    [TestMethod]
    public void AWrongLibrary_EndsTrainingAndScoring_AndIsNoBadPicture()
    {
        // As where an application brings another version of SkiaSharp.
        var pictures = Colours.Pictures(24);
        var broken = false;
        void Decode(Numbered row, Decoded output) =>
            output.Features =
                row.Id == 20 && broken ? throw new MissingMethodException("SkiaSharp.SKPixmap.ScalePixels") : pictures[row.Id].Features;
        var rows = ml.Data.LoadFromEnumerable(pictures.Select(picture => new Numbered { Id = picture.Id, Label = picture.Label! }));
        var view = ml
            .Transforms.CustomMapping<Numbered, Decoded>(Decode, contractName: null)
            .Append(ml.Transforms.Conversion.MapValueToKey("Label"))
            .Fit(rows)
            .Transform(rows);
        var trainer = Colours.Trainer(ml, Options());
        using var model = trainer.Fit(view);
        var scored = model.Transform(view);
        Assert.IsTrue(Scores(scored).SelectMany(score => score).All(float.IsFinite));

        broken = true;
        log.TakeWarnings();
        Assert.ThrowsExactly<MissingMethodException>(() => trainer.Fit(view));
        Assert.ThrowsExactly<MissingMethodException>(() => Scores(scored));
        Assert.ThrowsExactly<MissingMethodException>(() => model.GetExpertLoad(view));
        Assert.IsEmpty(log.TakeWarnings());
    }

    private static readonly Comparer<float> Near = Comparer<float>.Create((a, b) => Math.Abs(a - b) <= 1e-5 ? 0 : a.CompareTo(b));

    private TransformerChain<TransformerChain<KeyToValueMappingTransformer>> Fit(int? width, int? height)
    {
        return Pictures(files, width, height).Append(Colours.Pipeline(ml, Options())).Fit(files.Rows(ml));
    }

    private static WideNetImageClassifier.Options Options()
    {
        var options = Colours.Options();
        (options.ImageHeight, options.ImageWidth, options.PredictionBatchSize) = (8, 8, 16);
        return options;
    }

    private IEstimator<ITransformer> Pictures(PictureFiles source, int? width, int? height) =>
        width is { } w && height is { } h ? source.Loader(ml).Append(ml.Transforms.ResizeImages("Features", w, h)) : source.Loader(ml);

    private static float[][] Scores(IDataView scored) => [.. scored.GetColumn<float[]>("Score")];

    private sealed class Numbered
    {
        public int Id { get; set; }

        public string Label { get; set; } = "";
    }

    private sealed class Decoded
    {
        [Microsoft.ML.Transforms.Image.ImageType(12, 10)]
        public MLImage? Features { get; set; }
    }
}
