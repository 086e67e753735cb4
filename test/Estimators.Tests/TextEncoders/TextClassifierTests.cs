using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.MoE.Weights;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Estimators.Tests.TextEncoders;

[TestClass]
public sealed class TextClassifierTests
{
    private static readonly MLContext Ml = new(seed: 1);

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void ItLearns_AlsoFromPairs(bool pairs)
    {
        var options = Moods.Options();
        (options.Epochs, options.LearningRate, options.SecondTextColumnName) = (20, 3e-3, pairs ? "Second" : null);
        var rows = Moods.Rows(60);
        using var model = Train(options, rows);
        var scored = model.Transform(Moods.View(Ml, rows));
        Assert.AreEqual(1.0, Ml.MulticlassClassification.Evaluate(scored).MicroAccuracy);
        Assert.IsLessThan(model.History[0].Averages.Loss, model.History[^1].Averages.Loss);
        Assert.AreEqual(60, model.Training!.TrainingTexts);
    }

    [TestMethod]
    public void ColumnsHaveTheAnnotationsOfClassifiers()
    {
        var options = Moods.Options();
        (options.EmbeddingColumnName, options.ScoreColumnName) = ("Vector", "Probabilities");
        var view = Moods.View(Ml, Moods.Rows(20));
        var trainer = Ml.MulticlassClassification.Trainers.WideNetTextClassifier(options);
        using var model = trainer.Fit(view);
        var schema = model.GetOutputSchema(view.Schema);
        VBuffer<ReadOnlyMemory<char>> names = default;
        schema["Probabilities"].GetSlotNames(ref names);
        CollectionAssert.AreEqual(new[] { "bad", "good" }, names.DenseValues().Select(name => name.ToString()).ToArray());
        schema["PredictedLabel"].GetKeyValues(ref names);
        CollectionAssert.AreEqual(new[] { "bad", "good" }, names.DenseValues().Select(name => name.ToString()).ToArray());
        Assert.AreEqual(16, ((VectorDataViewType)schema["Vector"].Type).Size);
        var shape = (SchemaShape)typeof(SchemaShape)
            .GetMethod("Create", BindingFlags.NonPublic | BindingFlags.Static)!.Invoke(null, [view.Schema])!;
        CollectionAssert.IsSubsetOf(
            new[] { "Probabilities", "PredictedLabel", "Vector" }, trainer.GetOutputSchema(shape).Select(column => column.Name).ToArray());
        foreach (var scores in model.Transform(view).GetColumn<float[]>("Probabilities"))
            Assert.AreEqual(1, scores.Sum(), 1e-5);
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void AZipScoresTheSame_AlsoOneByOne(bool pairs)
    {
        var options = Moods.Options();
        (options.SecondTextColumnName, options.EmbeddingColumnName, options.ValidationFraction) = (pairs ? "Second" : null, "Vector", 0.2);
        var rows = Moods.Rows(30);
        var view = Moods.View(Ml, rows);
        using var model = Train(options, rows);
        using var zip = new MemoryStream();
        Ml.Model.Save(model, view.Schema, zip);
        zip.Position = 0;
        var loaded = (TextClassificationTransformer)Ml.Model.Load(zip, out _);
        var expected = Scores(model, view);
        var actual = Scores(loaded, view);
        for (var i = 0; i < rows.Length; i++)
            CollectionAssert.AreEqual(expected[i], actual[i]);
        Assert.HasCount(model.History.Count, loaded.History);
        Assert.AreEqual(model.Training!.ValidationTexts, loaded.Training!.ValidationTexts);
        Assert.AreEqual(6, loaded.Training.ValidationTexts);

        using var engine = Ml.Model.CreatePredictionEngine<Mood, Scored>(loaded);
        for (var i = 0; i < 5; i++)
        {
            // Without the padding of the block.
            var alone = engine.Predict(rows[i]).Score;
            for (var c = 0; c < 2; c++)
                Assert.AreEqual(expected[i][c], alone[c], 1e-5f);
        }
    }

    [TestMethod]
    public void ItStartsFromPublishedWeights_WithTheirTokenizer()
    {
        using var tiny = new TinyEncoder();
        var options = Moods.Options();
        (options.Architecture, options.PretrainedWeights, options.MaxSteps) = (null, tiny.Weights, 1);
        (options.LearningRate, options.EmbeddingColumnName, options.MaxTokens) = (0, "Vector", 8);
        options.FinalLearningRate = 0;
        var rows = Moods.Rows(20);
        using var model = Train(options, rows);
        Assert.IsGreaterThan(0, model.Training!.CutTexts);
        using var scope = torch.NewDisposeScope();
        using var published = tiny.Weights.BuildTextEncoder();
        var wanted = ModuleWeights.Collect(published);
        foreach (var (name, value) in ModuleWeights.Collect(model.Encoder))
            Assert.IsTrue(value.equal(wanted[name]).all().item<bool>(), name);
    }

    [TestMethod]
    public void ItGoesOnFromAnEarlierModel_ItsHeadWhereTheClassesAreTheSame()
    {
        var options = Moods.Options();
        (options.Epochs, options.LearningRate) = (20, 3e-3);
        var rows = Moods.Rows(40);
        using var first = Train(options, rows);
        var further = new WideNetTextClassifier.Options { InitialModel = first, Epochs = 1, LearningRate = 0, Threads = 1, Seed = 2 };
        using var same = Train(further, rows);
        var view = Moods.View(Ml, rows);
        var (expected, actual) = (Scores(first, view), Scores(same, view));
        for (var i = 0; i < rows.Length; i++)
            CollectionAssert.AreEqual(expected[i], actual[i]);

        // "good" is called "fine" now, so that the head starts from zeros.
        foreach (var row in rows)
            row.Label = row.Label == "good" ? "fine" : row.Label;
        using var other = Train(further, rows);
        foreach (var scores in Scores(other, Moods.View(Ml, rows)))
            Assert.AreEqual(0.5f, scores[0]);
        further.Frozen = ModelParts.Head;
        var error = Assert.ThrowsExactly<InvalidOperationException>(() => Train(further, rows));
        Assert.Contains("leave Head out", error.Message);
    }

    [TestMethod]
    public void AMixtureGrowsOutOfPublishedWeights_AndOutOfAnEarlierModel()
    {
        using var tiny = new TinyEncoder();
        var rows = Moods.Rows(20);
        var options = Moods.Options();
        (options.Architecture, options.PretrainedWeights, options.Epochs) = (null, tiny.Weights, 4);
        using var dense = Train(options, rows);
        var sparse = dense.Encoder.Config with { Experts = 3, ExpertWidth = 32, RenormalizeGates = true, Dropout = 0, RouterNoise = 0 };
        var further = new WideNetTextClassifier.Options
        {
            InitialModel = dense,
            Architecture = sparse,
            Epochs = 1,
            LearningRate = 0,
            Threads = 1,
            Seed = 2,
        };
        using var grown = Train(further, rows);
        var view = Moods.View(Ml, rows);
        var (expected, actual) = (Scores(dense, view), Scores(grown, view));
        for (var i = 0; i < rows.Length; i++)
            Assert.AreEqual(expected[i][0], actual[i][0], 1e-5f);

        (options.Architecture, options.ExpertNoise) = (sparse, 0.1);
        using var trained = Train(options, rows);
        Assert.AreEqual(3, trained.Encoder.Config.Experts);
        Assert.IsNotNull(trained.History[0].Averages.ExpertLoad);
    }

    [TestMethod]
    public void WhatIsFrozenStays()
    {
        using var scope = torch.NewDisposeScope();
        using var tiny = new TinyEncoder();
        using var published = tiny.Weights.BuildTextEncoder();
        var wanted = ModuleWeights.Collect(published);
        foreach (var frozen in new[] { ModelParts.Embedding, ModelParts.Blocks, ModelParts.Backbone })
        {
            var options = Moods.Options();
            (options.Architecture, options.PretrainedWeights, options.Frozen) = (null, tiny.Weights, frozen);
            using var model = Train(options, Moods.Rows(20));
            foreach (var (name, value) in ModuleWeights.Collect(model.Encoder))
            {
                var stays = frozen.HasFlag(TextClassifier.PartOf($"encoder.{name}"));
                // A second segment is in no text, and places beyond the longest are not read.
                Assert.AreEqual(stays, value.equal(wanted[name]).all().item<bool>(), $"{frozen}: {name}");
            }
            Assert.IsTrue(Scores(model, Moods.View(Ml, Moods.Rows(4))).Any(scores => scores[0] != 0.5f), "the head learns");
        }
    }

    [TestMethod]
    public void ATrainingGoesOnFromACheckpoint_AsIfItHadNotStopped()
    {
        var folder = Directory.CreateTempSubdirectory("moe-ml-test-").FullName;
        try
        {
            var rows = Moods.Rows(30);
            var options = Moods.Options();
            options.Architecture = options.Architecture! with { Dropout = 0.1, RouterNoise = 1 };
            using var whole = Train(options, rows);

            options.Checkpoints = new CheckpointOptions(folder) { EverySteps = 1, Resume = true };
            using var stop = new CancellationTokenSource();
            (options.CancellationToken, options.ProgressInterval) = (stop.Token, 1);
            options.Progress = progress =>
            {
                if (progress.Step == 3)
                    stop.Cancel();
            };
            Assert.ThrowsExactly<OperationCanceledException>(() => Train(options, rows));
            (options.CancellationToken, options.Progress) = (default, null);
            using var resumed = Train(options, rows);
            var wanted = ModuleWeights.Collect(whole.Encoder);
            foreach (var (name, value) in ModuleWeights.Collect(resumed.Encoder))
                Assert.IsTrue(value.equal(wanted[name]).all().item<bool>(), name);
            options.MaxTokens = 20;
            Assert.ThrowsExactly<InvalidOperationException>(() => Train(options, rows));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [TestMethod]
    public void RowsWithoutTextOrLabel_AreCountedAndLeftOut()
    {
        var ml = new MLContext(seed: 1);
        var warnings = new List<string>();
        ml.Log += (_, message) =>
        {
            if (message.Kind == ChannelMessageKind.Warning)
                warnings.Add(message.RawMessage);
        };
        Mood[] rows =
        [
            .. Moods.Rows(20),
            new() { Label = "good", Text = null, Second = "x" },
            new() { Label = "good", Text = "the cat", Second = " " },
            new() { Label = "bad", Text = "", Second = "the dog" },
            new() { Label = null, Text = "the cat", Second = "the dog" },
        ];
        var options = Moods.Options();
        options.SecondTextColumnName = "Second";
        var view = Moods.View(ml, rows);
        using var model = ml.MulticlassClassification.Trainers.WideNetTextClassifier(options).Fit(view);
        Assert.AreEqual((20, 3L, 1L), (model.Training!.TrainingTexts, model.Training.EmptyTexts, model.Training.MissingLabels));
        Assert.Contains(
            "Of the training data 20 rows are used; 1 have no label in column 'Label', 3 have a text", string.Join('\n', warnings));

        warnings.Clear();
        var scores = Scores(model, view);
        Assert.IsTrue(scores[20].All(float.IsNaN) && scores[21].All(float.IsNaN) && scores[22].All(float.IsNaN));
        Assert.IsFalse(scores[23].Any(float.IsNaN));
        Assert.AreEqual(0u, model.Transform(view).GetColumn<uint>("PredictedLabel").ElementAt(20));
        Assert.Contains("Of the rows to score 3 have no text in column 'Text' or 'Second'", string.Join('\n', warnings));
    }

    [TestMethod]
    public void WhatCannotBeIsNamed()
    {
        using var tiny = new TinyEncoder();
        AssertRefused<ArgumentException>("TextColumnName is empty", o => o.TextColumnName = "");
        AssertRefused<ArgumentException>("SecondTextColumnName is empty", o => o.SecondTextColumnName = " ");
        AssertRefused<ArgumentException>("ScoreColumnName and PredictedLabelColumnName are both 'A'",
            o => (o.ScoreColumnName, o.PredictedLabelColumnName) = ("A", "A"));
        AssertRefused<ArgumentException>("VocabularySize is 5", o => o.VocabularySize = 5);
        AssertRefused<ArgumentException>("MaxTokens is 2", o => o.MaxTokens = 2);
        AssertRefused<ArgumentException>("MaxTokens is 25, but the network reads 24", o => o.MaxTokens = 25);
        AssertRefused<ArgumentException>("it must know 2", o =>
            (o.SecondTextColumnName, o.Architecture) = ("Second", TextEncoderConfig.Tiny with { Segments = 1 }));
        AssertRefused<ArgumentException>("neither InitialModel nor PretrainedWeights is set", o => o.Frozen = ModelParts.Blocks);
        AssertRefused<ArgumentException>("have no head", o =>
            (o.Frozen, o.Architecture, o.PretrainedWeights) = (ModelParts.Head, null, tiny.Weights));
        AssertRefused<ArgumentException>("not of all of them", o => o.Frozen = ModelParts.Backbone | ModelParts.Head);
        AssertRefused<ArgumentException>("no classifier of texts in it", o =>
            o.InitialModel = Ml.Transforms.CopyColumns("A", "Text").Fit(Moods.View(Ml, Moods.Rows(4))));
        AssertRefused<ArgumentException>("Architecture is another network", o => o.PretrainedWeights = tiny.Weights);
        AssertRefused<ArgumentOutOfRangeException>("Could not find text column 'Words'", o => o.TextColumnName = "Words");
        AssertRefused<ArgumentOutOfRangeException>("Could not find label column 'Class'", o => o.LabelColumnName = "Class");
        AssertRefused<ArgumentOutOfRangeException>("Schema mismatch for text column 'Label'", o => o.SecondTextColumnName = "Label");

        Mood[] same = [.. Moods.Rows(10).Where(row => row.Label == "good"), new() { Label = "bad", Text = "" }];
        var error = Assert.ThrowsExactly<InvalidOperationException>(() => Train(Moods.Options(), same));
        Assert.Contains("All 5 usable rows of the training data have the same label ('good' of column 'Label')", error.Message);
        error = Assert.ThrowsExactly<InvalidOperationException>(() =>
            Train(Moods.Options(), [new() { Label = "a", Text = "" }, new() { Label = "b" }]));
        Assert.Contains("no usable rows: 2 have a text that is missing or empty", error.Message);

        var model = Train(Moods.Options(), Moods.Rows(10));
        model.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => Scores(model, Moods.View(Ml, Moods.Rows(10))));

        static void AssertRefused<TError>(string message, Action<WideNetTextClassifier.Options> change) where TError : Exception
        {
            var options = Moods.Options();
            change(options);
            var refusal = Assert.ThrowsExactly<TError>(() => Train(options, Moods.Rows(10)));
            Assert.Contains(message, refusal.Message);
        }
    }

    [TestMethod]
    public void BatchesHaveTextsOfLikeLength_EachOnceAnEpoch()
    {
        var random = new Random(1);
        TextExample[] examples = [.. Enumerable.Range(0, 1000).Select(_ => new TextExample(new int[random.Next(5, 200)], 0))];
        var batches = new TextBatches(examples, 16, seed: 3, torch.CPU);
        var order = batches.Order(0);
        CollectionAssert.AreEquivalent(Enumerable.Range(0, 1000).ToArray(), order.SelectMany(batch => batch).ToArray());
        var places = order.Sum(batch => batch.Length * batch.Max(i => examples[i].Tokens.Length));
        Assert.IsLessThan(0.1, 1 - (examples.Sum(example => example.Tokens.Length) / (double)places));
        Assert.HasCount(batches.BatchesPerEpoch!.Value, order);
        Assert.IsFalse(order.Select(batch => batch[0]).SequenceEqual(batches.Order(1).Select(batch => batch[0])), "another order");
    }

    [TestMethod]
    public void APairIsCutWhereItIsLonger()
    {
        var tokenizer = new WordPieceTokenizer("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n"u8.ToArray());
        CollectionAssert.AreEqual(new[] { 2, 5, 5, 3, 6, 3 }, tokenizer.Encode("a a", "b", 10, out var second, out var isCut));
        Assert.AreEqual((4, false), (second, isCut));
        CollectionAssert.AreEqual(new[] { 2, 5, 5, 5, 3, 6, 3 }, tokenizer.Encode("a a a a a a", "b", 7, out second, out isCut));
        Assert.AreEqual((5, true), (second, isCut));
        CollectionAssert.AreEqual(new[] { 2, 5, 3, 6, 6, 6, 3 }, tokenizer.Encode("a", "b b b b", 7, out second, out isCut));
        Assert.AreEqual((3, true), (second, isCut));
        CollectionAssert.AreEqual(new[] { 2, 5, 5, 3, 6, 3 }, tokenizer.Encode("a a a a", "b b b b", 6, out second, out isCut));
        Assert.AreEqual((4, true), (second, isCut));
    }

    [TestMethod]
    public void ALearnedVocabularyKnowsFrequentWordsAndAllCharacters()
    {
        var tokenizer = new WordPieceTokenizer(WordPieceVocabulary.Learn(["Café cafe dog", "dog z9!"], 100, default));
        var pieces = System.Text.Encoding.UTF8.GetString(tokenizer.Vocabulary).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        CollectionAssert.Contains(pieces, "cafe");
        CollectionAssert.Contains(pieces, "dog");
        CollectionAssert.DoesNotContain(pieces, "z9");
        string[] Pieces(string text) => [.. tokenizer.Encode(text, 20, out _).Select(id => pieces[id])];
        CollectionAssert.AreEqual(new[] { "[CLS]", "cafe", "z", "##9", "!", "[SEP]" }, Pieces("CAFÉ z9!"));
        CollectionAssert.AreEqual(new[] { "[CLS]", "[UNK]", "[SEP]" }, Pieces("кот"));
    }

    private static TextClassificationTransformer Train(WideNetTextClassifier.Options options, Mood[] rows) =>
        Ml.MulticlassClassification.Trainers.WideNetTextClassifier(options).Fit(Moods.View(Ml, rows));

    private static float[][] Scores(TextClassificationTransformer model, IDataView view) => [.. model.Transform(view).GetColumn<float[]>("Score")];

    private sealed class Scored
    {
        public float[] Score { get; set; } = [];
    }
}
