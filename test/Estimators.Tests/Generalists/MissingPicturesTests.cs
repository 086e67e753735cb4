using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Generalists;

/// <summary>Rows whose picture is missing or cannot be read are counted and warned of; one of another size is an error.</summary>
[TestClass]
public sealed class MissingPicturesTests
{
    private static readonly string[] Tasks = ["colour", "film", "find", "caption", "mood"];
    private static readonly MLContext Ml = new(seed: 1);
    private static readonly LogMessages Log = new(Ml);
    private static GeneralistTransformer model = null!;

    [ClassInitialize]
    public static void Train(TestContext _)
    {
        var options = Toys.Options(Tasks);
        (options.Epochs, options.PredictionBatchSize) = (1, 4);
        model = Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows(Tasks, 16, seed: 1)));
    }

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    [DataRow("colour", "Features", "their scores are NaN and their predicted label is missing")]
    [DataRow("film", "Video", "their scores are NaN and their predicted label is missing")]
    [DataRow("find", "Features", "the representation of their picture is NaN")]
    [DataRow("caption", "Features", "their text is empty")]
    public void RowsToScore_AreCountedOnce_InOneWarning(string task, string column, string consequence)
    {
        var rows = Rows(task);
        var expected = $"Of the rows to score 2 have no readable image in column '{column}': {consequence}.";
        Log.TakeWarnings();
        var scored = model.ForTask(task).Transform(Toys.View(Ml, rows));
        Read(scored.GetRowCursor(Added(scored)));
        StringAssert.Contains(Log.TakeWarnings().Single(), expected);

        Read(scored.GetRowCursorSet(Added(scored), 3));
        StringAssert.Contains(Log.TakeWarnings().Single(), expected);

        using (var engine = Ml.Model.CreatePredictionEngine<GeneralistRow, Anything>(model.ForTask(task), Output(task)))
        {
            foreach (var row in rows)
            {
                engine.Predict(row);
                Assert.HasCount(row.Label == "none" ? 1 : 0, Log.TakeWarnings(), "at once");
            }
        }
        Assert.IsEmpty(Log.TakeWarnings());
    }

    [TestMethod]
    public void RowsWithAllTheirPictures_AndTasksOfTexts_WarnOfNothing()
    {
        Log.TakeWarnings();
        foreach (var task in Tasks)
        {
            var scored = model.ForTask(task).Transform(Toys.View(Ml, Toys.Rows(task, 5, seed: 2)));
            Read(scored.GetRowCursor(Added(scored)));
        }
        Assert.IsEmpty(Log.TakeWarnings());
    }

    [TestMethod]
    public void RowsToMeasure_AreCounted()
    {
        Log.TakeWarnings();
        Assert.AreEqual(7, model.ForTask("find").EvaluateRetrieval(Toys.View(Ml, Rows("find"))).Pictures);
        StringAssert.Contains(
            Log.TakeWarnings().Single(),
            "Of the rows of task 'find' 2 are left out, because what the task asks for is missing or cannot be read (2 have no readable "
                + "image in column 'Features').");
    }

    [TestMethod]
    [DataRow("colour", "Features", 192)]
    [DataRow("film", "Video", 384)]
    public void AVectorOfAnotherLength_IsAnError_ThatNamesBoth(string task, string column, int wanted)
    {
        var rows = Toys.Rows(task, 5, seed: 2);
        (rows[3].Features, rows[3].Video) = (new float[10], new byte[10]);
        var view = Toys.View(Ml, rows);
        var scored = model.ForTask(task).Transform(view);
        AssertNamed(() => Read(scored.GetRowCursor(Added(scored))));
        using (var engine = Ml.Model.CreatePredictionEngine<GeneralistRow, Anything>(model.ForTask(task), Output(task)))
            AssertNamed(() => engine.Predict(rows[3]));
        AssertNamed(() => Ml.Transforms.UniPerceiverGeneralist(Toys.Options(task)).Fit(view));
        AssertNamed(() => model.TunePrompts(model.ForTask(task).Task, view));

        void AssertNamed(Action action)
        {
            var message = Assert.ThrowsExactly<InvalidOperationException>(action).Message;
            StringAssert.Contains(message, $"a vector of 10 numbers in column '{column}'");
            StringAssert.Contains(message, $" {wanted}.");
        }
    }

    // Nine rows, two of which have no picture.
    private static List<GeneralistRow> Rows(string task)
    {
        var rows = Toys.Rows(task, 9, seed: 2);
        foreach (var row in new[] { rows[0], rows[5] })
            (row.Features, row.Video, row.Label) = (Array.ConvertAll(row.Features, _ => float.NaN), [], "none");
        return rows;
    }

    private static DataViewSchema.Column[] Added(IDataView scored) =>
        [
            .. scored.Schema.Where(column =>
                column.Name is "Score" or "PredictedLabel" or "PredictedText" or "PictureEmbedding" or "TextEmbedding"),
        ];

    private static PredictionEngineOptions Output(string task)
    {
        var output = Microsoft.ML.Data.SchemaDefinition.Create(typeof(Anything));
        var wanted = task switch
        {
            "find" => nameof(Anything.PictureEmbedding),
            "caption" => nameof(Anything.PredictedText),
            _ => nameof(Anything.Score),
        };
        output.RemoveAll(column => column.ColumnName != wanted);
        return new PredictionEngineOptions { OwnsTransformer = false, OutputSchemaDefinition = output };
    }

    private static void Read(params DataViewRowCursor[] cursors)
    {
        foreach (var cursor in cursors)
        {
            while (cursor.MoveNext())
            {
            }
        }
        foreach (var cursor in cursors)
            cursor.Dispose();
    }

    private sealed class Anything
    {
        public float[] Score { get; set; } = [];

        public float[] PictureEmbedding { get; set; } = [];

        public string PredictedText { get; set; } = "";
    }
}
