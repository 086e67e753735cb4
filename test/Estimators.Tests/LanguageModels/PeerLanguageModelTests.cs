using System.Text;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Transforms;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.LanguageModels;

[TestClass]
public sealed class PeerLanguageModelTests
{
    private static readonly MLContext Ml = new(seed: 1);
    private static LanguageModelTransformer model = null!;

    [ClassInitialize]
    public static void Train(TestContext _) => model = Ml.Transforms.Text.PeerLanguageModel(Rhymes.Options()).Fit(Rhymes.Data(Ml));

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void ListsThatACallerChangesAfterwards_LeaveTheModelAsItIs()
    {
        var (blocks, attributes) = (new List<int> { 0 }, new List<string> { "colour" });
        var config = LanguageModelConfig.Nano with { SparseBlocks = blocks };
        var generalist = GeneralistConfig.Nano with { Attributes = attributes };
        blocks.Add(1);
        attributes.Clear();
        CollectionAssert.AreEqual(new[] { 0 }, config.SparseBlocks!.ToArray());
        CollectionAssert.AreEqual(new[] { "colour" }, generalist.Attributes.ToArray());
    }

    [TestMethod]
    public void Training_Learns()
    {
        var summary = model.Training!;
        Assert.IsLessThan(1.5, summary.Training.Epochs[^1].Averages.Loss, "from ln 257 = 5.5");
        Assert.AreEqual((20, 4L, 0L, 3), (summary.Documents, summary.EmptyTexts, summary.ValidationTokens, summary.Seed));
        Assert.AreEqual(Rhymes.Rows(24).Sum(row => row.Text!.Length) + 20, summary.TrainingTokens);
        Assert.IsFalse(model.Model.training);
    }

    [TestMethod]
    public void Columns_AreThoseOfTheWholeText()
    {
        var rows = Rhymes.Predict(Ml, model, Rhymes.Rows(11));
        CollectionAssert.AreEqual(Enumerable.Range(0, 11).ToArray(), rows.Select(row => row.Id).ToArray());
        for (var i = 0; i < rows.Length; i++)
        {
            var text = Rhymes.Texts[i % Rhymes.Texts.Length];
            var score = new DocumentScorer(model.Model, 256).Score([model.Tokenizer.Encode(text)], withEmbeddings: true).Single();
            Assert.AreEqual(text.Length, rows[i].TokenCount);
            Assert.AreEqual(score.LogLikelihood, rows[i].LogLikelihood, 1e-3, "longer texts than the context too");
            Assert.AreEqual(Math.Exp(-score.LogLikelihood / text.Length), rows[i].Perplexity, 1e-3);
            for (var d = 0; d < 32; d++)
                Assert.AreEqual(score.Embedding![d], rows[i].Embedding[d], 1e-4);
            Assert.AreEqual(rows[i % Rhymes.Texts.Length].Continuation, rows[i].Continuation, "the same for the same text");
        }
        Assert.IsTrue(rows.Any(row => row.Continuation.Length > 0));
    }

    [TestMethod]
    public void TheSchema_IsWhatTheEstimatorPromises()
    {
        var data = Rhymes.Data(Ml);
        var schema = model.Transform(data).Schema;
        Assert.AreEqual(NumberDataViewType.Single, schema["LogLikelihood"].Type);
        Assert.AreEqual(NumberDataViewType.Int32, schema["TokenCount"].Type);
        Assert.AreEqual(NumberDataViewType.Single, schema["Perplexity"].Type);
        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, 32), schema["Embedding"].Type);
        Assert.AreEqual(TextDataViewType.Instance, schema["Continuation"].Type);
        Assert.AreEqual(schema.ToString(), model.GetOutputSchema(data.Schema).ToString());

        // A chain asks each estimator for its columns before there are data.
        var chain = Ml
            .Transforms.CopyColumns("Text", "Original")
            .Append(Ml.Transforms.Text.PeerLanguageModel(Rhymes.Options()))
            .Append(Ml.Transforms.CopyColumns("Copy", "Embedding"));
        var original = Ml.Data.LoadFromEnumerable(new[] { new { Original = "the cat sat" } });
        using var fitted = (TransformerChain<ColumnCopyingTransformer>)chain.Fit(original);
        Assert.AreEqual(schema["Embedding"].Type, fitted.GetOutputSchema(original.Schema)["Copy"].Type);
    }

    [TestMethod]
    public void EmptyMissingAndBrokenTexts_HaveDefinedResults()
    {
        var rows = Rhymes.Predict(
            Ml,
            model,
            [new TextRow { Text = "" }, new TextRow { Text = null }, new TextRow { Text = "a\uD800" }, new TextRow { Text = "a\uFFFD" }]);
        foreach (var row in rows[..2])
        {
            Assert.AreEqual((0f, 0), (row.LogLikelihood, row.TokenCount));
            Assert.IsTrue(float.IsNaN(row.Perplexity));
            Assert.IsTrue(row.Embedding.All(float.IsFinite) && row.Embedding.Any(value => value != 0));
            Assert.AreEqual(rows[0].Continuation, row.Continuation);
        }
        Assert.AreEqual((4, 4), (rows[2].TokenCount, rows[3].TokenCount), "half a surrogate pair is U+FFFD");
        Assert.AreEqual(rows[3].LogLikelihood, rows[2].LogLikelihood, 1e-3, "half a surrogate pair is U+FFFD");
    }

    [TestMethod]
    public void OneRowAtATime_GivesTheSame()
    {
        using var engine = Ml.Model.CreatePredictionEngine<TextRow, TextPrediction>(
            model, new PredictionEngineOptions { OwnsTransformer = false });
        var together = Rhymes.Predict(Ml, model, Rhymes.Rows(6));
        for (var i = 0; i < 6; i++)
        {
            var alone = engine.Predict(new TextRow { Text = Rhymes.Texts[i] });
            Assert.AreEqual(together[i].LogLikelihood, alone.LogLikelihood, 1e-3);
            Assert.AreEqual((together[i].TokenCount, together[i].Continuation), (alone.TokenCount, alone.Continuation));
        }
    }

    [TestMethod]
    public void WhatIsNotAskedFor_IsNotComputed()
    {
        var before = model.Scorer.ScoringCount;
        var scored = model.Transform(Rhymes.Data(Ml));
        Assert.AreEqual(24, scored.GetColumn<int>("Id").Count());
        Assert.AreEqual(before, model.Scorer.ScoringCount);
        Assert.AreEqual(24, scored.GetColumn<float>("LogLikelihood").Count());
        Assert.AreEqual(before + 8, model.Scorer.ScoringCount, "blocks of 1, 2, then 4");   // 1 + 2 + 4 · 5 + 1

        Assert.IsGreaterThan(0, scored.GetColumn<int>("TokenCount").Sum());
        Assert.AreEqual(before + 8, model.Scorer.ScoringCount, "the tokenizer alone counts tokens");
        var likelihoods = model.Scorer.LikelihoodCount;
        Assert.AreEqual(24, scored.GetColumn<float[]>("Embedding").Count(embedding => embedding.All(float.IsFinite)));
        Assert.AreEqual((before + 16, likelihoods), (model.Scorer.ScoringCount, model.Scorer.LikelihoodCount));
        Assert.AreEqual(24, scored.GetColumn<float>("Perplexity").Count());
        Assert.AreEqual((before + 24, likelihoods + 8), (model.Scorer.ScoringCount, model.Scorer.LikelihoodCount));
    }

    [TestMethod]
    public void Evaluation_SumsOverTexts_AndCountsExperts()
    {
        var data = Rhymes.Data(Ml);
        var metrics = model.Evaluate(data);
        var rows = Rhymes.Predict(Ml, model, Rhymes.Rows(24));
        Assert.AreEqual((20L, (long)rows.Sum(row => row.TokenCount)), (metrics.Documents, metrics.Tokens));
        Assert.AreEqual(metrics.Tokens, metrics.Bytes, "all texts are ASCII");
        Assert.AreEqual(rows.Sum(row => (double)row.LogLikelihood), metrics.LogLikelihood, 1e-2);
        Assert.AreEqual(Math.Exp(metrics.Loss), metrics.Perplexity, 1e-9);
        Assert.AreEqual(metrics.Loss / Math.Log(2), metrics.BitsPerByte, 1e-9, "a token is a byte");

        var layer = metrics.Layers.Single();
        Assert.AreEqual((1, 256L), (layer.Block, layer.Experts));
        Assert.IsTrue(
            layer.Usage is > 0 and <= 1 && layer.UnweightedUsage >= layer.Usage && layer.Unevenness > 0 && layer.Unevenness < Math.Log(256));

        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsExactly<OperationCanceledException>(() => model.Evaluate(data, cancelled.Token));
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() =>
                    model.Evaluate(Ml.Data.LoadFromEnumerable(new[] { new TextRow { Text = "" } })))
                .Message,
            "'Text'");
    }

    [TestMethod]
    public async Task Generation_StreamsTheSameTextForTheSameSeed()
    {
        var options = new GenerationOptions { MaxTokens = 30, Seed = 5 };
        var first = await Collect(model.GenerateAsync("the cat", options));
        Assert.AreEqual(string.Concat(first), string.Concat(await Collect(model.GenerateAsync("the cat", options))));
        Assert.IsTrue(first.All(piece => piece.Length > 0));
        var greedy = new GenerationOptions { MaxTokens = 30, Temperature = 0 };
        var text = string.Concat(await Collect(model.GenerateAsync("the ", greedy)));
        Assert.AreEqual(
            text, string.Concat(await Collect(model.GenerateAsync("the ", greedy with { Seed = 9 }))), "greedy text has no chance in it");
        Assert.IsEmpty(await Collect(model.GenerateAsync("the cat", options with { MaxTokens = 0 })));

        var stop = text[5..7];
        Assert.AreEqual(
            text[..text.IndexOf(stop, StringComparison.Ordinal)],
            string.Concat(await Collect(model.GenerateAsync("the ", greedy with { StopStrings = ["@@", stop] }))));
    }

    [TestMethod]
    public async Task Generation_CanBeCancelled_AndRunsBesideScoring()
    {
        using var cancel = new CancellationTokenSource();
        var pieces = 0;
        await Assert.ThrowsAsync<OperationCanceledException>(async () =>
        {
            await foreach (
                var piece in model.GenerateAsync(
                    null,
                    new GenerationOptions
                    {
                        MaxTokens = 100_000,
                        Temperature = 3,
                        Seed = 1,
                    },
                    cancel.Token))
            {
                if (++pieces == 3)
                    await cancel.CancelAsync();
            }
        });

        var texts = await Task.WhenAll(
            Enumerable.Range(0, 4).Select(_ => Collect(model.GenerateAsync("the", new GenerationOptions { MaxTokens = 20, Seed = 2 }))));
        Assert.HasCount(1, texts.Select(pieces => string.Concat(pieces)).Distinct().ToArray());
        Assert.ThrowsExactly<ArgumentException>(() => model.GenerateAsync("the", new GenerationOptions { TopK = 0 }));
        Assert.ThrowsExactly<ArgumentException>(() => model.GenerateAsync("the", new GenerationOptions { StopStrings = [""] }));
    }

    [TestMethod]
    public void Pieces_AreNeverPartOfACharacter_NorOfAStopString()
    {
        var tokenizer = new ByteTokenizer();
        var stream = new TokenTextStream(tokenizer, ["END", "ENDING"]);
        var pieces = Encoding
            .UTF8.GetBytes("é😀 EN E日END after")
            .Select(value => stream.Stopped ? "" : stream.Add(value))
            .Where(piece => piece.Length > 0)
            .ToArray();
        CollectionAssert.AreEqual(new[] { "é", "😀", " ", "EN ", "E日" }, pieces);
        Assert.IsTrue(stream.Stopped);
        Assert.AreEqual("", stream.End());

        var broken = new TokenTextStream(tokenizer, ["stop"]);
        Assert.AreEqual("", broken.Add(0xF0) + broken.Add(0x9F));
        Assert.AreEqual("\uFFFD", broken.End(), "a character that never became whole");
        var held = new TokenTextStream(tokenizer, ["stop"]);
        Assert.AreEqual("", held.Add('s') + held.Add('t'));
        Assert.AreEqual("st", held.End());
    }

    [TestMethod]
    public void TheSameSeed_GivesTheSameModel()
    {
        using var other = Ml.Transforms.Text.PeerLanguageModel(Rhymes.Options()).Fit(Rhymes.Data(Ml));
        CollectionAssert.AreEqual(
            Rhymes.Predict(Ml, model, Rhymes.Rows(6)).Select(row => row.LogLikelihood).ToArray(),
            Rhymes.Predict(Ml, other, Rhymes.Rows(6)).Select(row => row.LogLikelihood).ToArray());
    }

    [TestMethod]
    [DataRow(TokenizerKind.Characters)]
    [DataRow(TokenizerKind.BytePairs)]
    public void OtherTokenizersAndLayers_TrainToo(TokenizerKind kind)
    {
        var options = Rhymes.Options();
        options.Tokenizer = kind == TokenizerKind.Characters ? TokenizerOptions.Characters : TokenizerOptions.BytePairs(300);
        options.Alter(a =>
            a with
            {
                SparseLayer = LanguageModelPresets
                    .All.Single(preset => preset.Name == (kind == TokenizerKind.Characters ? "lm-nano-moe" : "lm-nano-dense"))
                    .Config.SparseLayer,
            }
        );
        (options.Epochs, options.ValidationFraction) = (2, 0.25);
        using var other = Ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(Ml));
        var metrics = other.Evaluate(Rhymes.Data(Ml));
        Assert.AreEqual(kind, other.Tokenizer.Kind);
        Assert.HasCount(kind == TokenizerKind.Characters ? 1 : 0, metrics.Layers);
        Assert.IsTrue(kind == TokenizerKind.Characters ? metrics.Tokens == metrics.Bytes : metrics.Tokens < metrics.Bytes / 2);
        Assert.IsGreaterThan(0, other.Training!.ValidationTokens);
        Assert.IsTrue(other.Training.Training.Epochs.All(epoch => epoch.Validation is { MetricName: "Perplexity", HigherIsBetter: false }));
    }

    [TestMethod]
    public void ValidationFraction_CutsTheLastPartOff()
    {
        var options = Rhymes.Options();
        (options.Epochs, options.ValidationFraction) = (1, 0.1);
        using var other = Ml
            .Transforms.Text.PeerLanguageModel(options)
            .Fit(Ml.Data.LoadFromEnumerable(new[] { new TextRow { Text = new string('a', 100) } }));
        Assert.AreEqual((91L, 10L), (other.Training!.TrainingTokens, other.Training.ValidationTokens));
    }

    [TestMethod]
    public void Training_CanBeCancelled_AndReports()
    {
        using var cancel = new CancellationTokenSource();
        var options = Rhymes.Options();
        var log = new LogMessages(Ml);
        options.CancellationToken = cancel.Token;
        options.Progress = _ => cancel.Cancel();
        Assert.ThrowsExactly<OperationCanceledException>(() => Ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(Ml)));
        Assert.IsTrue(log.All.Any(line => line.Contains("Training a language model of", StringComparison.Ordinal)));
        Assert.IsTrue(log.All.Any(line => line.Contains("4 have no text in column 'Text'", StringComparison.Ordinal)));
    }

    [TestMethod]
    public void TrainingEnds_AfterItsSteps_AndReportsAsOftenAsAsked()
    {
        var (options, steps) = (Rhymes.Options(), new List<(int Step, int Of, bool AtEnd)>());
        (options.MaxSteps, options.ProgressInterval, options.Progress) = (10, 4, progress =>
            steps.Add((progress.Step, progress.TotalSteps, progress.EpochCompleted)));
        using var other = Ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(Ml));
        Assert.AreEqual((10, StopReason.StepLimit), (other.Training!.Training.Steps, other.Training.Training.StopReason));
        CollectionAssert.AreEqual(
            new[] { (4, 10, false), (8, 10, false), (10, 10, true) }, steps.Where(step => !step.AtEnd || step.Step == 10).ToArray());
    }

    [TestMethod]
    public void BadData_IsNamed()
    {
        var estimator = Ml.Transforms.Text.PeerLanguageModel(Rhymes.Options());
        Throws<InvalidOperationException>(() => estimator.Fit(Ml.Data.LoadFromEnumerable(Array.Empty<TextRow>())), "no rows");
        Throws<InvalidOperationException>(
            () => estimator.Fit(Ml.Data.LoadFromEnumerable(new[] { new TextRow { Text = "" } })), "all 1 rows are empty");
        Throws<ArgumentOutOfRangeException>(() => estimator.Fit(Ml.Data.LoadFromEnumerable(new[] { new { Word = "a" } })), "'Text'");
        Throws<ArgumentOutOfRangeException>(() => estimator.Fit(Ml.Data.LoadFromEnumerable(new[] { new { Text = 1f } })), "'Text'");
        Throws<ArgumentOutOfRangeException>(() => model.Transform(Ml.Data.LoadFromEnumerable(new[] { new { Text = 1f } })), "'Text'");
        var stopping = Rhymes.Options();
        stopping.EarlyStopping = new EarlyStopping();
        Throws<InvalidOperationException>(
            () => Ml.Transforms.Text.PeerLanguageModel(stopping).Fit(Rhymes.Data(Ml)), "nothing to validate on");

        static void Throws<T>(Action action, string message)
            where T : Exception => StringAssert.Contains(Assert.ThrowsExactly<T>(action).Message, message);
    }

    [TestMethod]
    public void BadOptions_AreNamed()
    {
        Throws(options => options.TextColumnName = " ", "TextColumnName");
        Throws(options => options.PerplexityColumnName = "", "PerplexityColumnName");
        Throws(options => options.PerplexityColumnName = "TokenCount", "both 'TokenCount'");
        Throws(
            options =>
                (
                    options.LogLikelihoodColumnName,
                    options.TokenCountColumnName,
                    options.PerplexityColumnName,
                    options.EmbeddingColumnName,
                    options.ContinuationColumnName
                ) = (null, null, null, null, null),
            "No column");
        Throws(options => options.BatchSize = 0, "BatchSize");
        Throws(options => options.Epochs = 0, "Epochs");
        Throws(options => options.MaxTime = TimeSpan.Zero, "MaxTime");
        Throws(options => options.MaxSteps = 0, "MaxSteps");
        Throws(options => options.ProgressInterval = 0, "ProgressInterval");
        Throws(options => options.Alter(a => a with { Width = 33 }), "Width");
        Throws(options => options.ValidationFraction = 1, "ValidationFraction");
        Throws(options => options.Continuation = new GenerationOptions { MaxTokens = -1 }, "MaxTokens");
        Throws(options => options.Beta2 = 1, "Beta2");
        Throws(options => options.Optimizer = OptimizerKind.Sgd, "Optimizer is Sgd, but tables of experts are always trained by AdamW");
        Throws(
            options =>
            {
                options.Optimizer = OptimizerKind.Lamb;
                options.Alter(a =>
                    a with { SparseLayer = new ProductKeyMemoryOptions { Memories = 64, MemoriesPerHead = 4 } }
                );
            },
            "Optimizer is Lamb, but tables of experts");

        static void Throws(Action<PeerLanguageModel.Options> change, string message)
        {
            var options = Rhymes.Options();
            change(options);
            StringAssert.Contains(
                Assert.ThrowsExactly<ArgumentException>(() => Ml.Transforms.Text.PeerLanguageModel(options)).Message, message);
        }
    }

    [TestMethod]
    public void APreset_IsTakenOverInFull_ButForTheVocabulary()
    {
        foreach (var preset in LanguageModelPresets.All)
            Assert.AreEqual(
                (preset.Config with { VocabularySize = 99 }).ToJson(),
                new PeerLanguageModel.Options { Architecture = preset.Config }
                    .CreateConfig(99)
                    .ToJson(),
                preset.Name);
    }

    [TestMethod]
    public async Task ADisposedModel_SaysSo()
    {
        var options = Rhymes.Options();
        options.Epochs = 1;
        var other = Ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(Ml));
        other.Dispose();
        other.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => other.Evaluate(Rhymes.Data(Ml)));
        await Assert.ThrowsExactlyAsync<ObjectDisposedException>(async () => await Collect(other.GenerateAsync("a")));
    }

    private static async Task<string[]> Collect(IAsyncEnumerable<string> pieces)
    {
        var all = new List<string>();
        await foreach (var piece in pieces)
            all.Add(piece);
        return [.. all];
    }
}
