using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Classification;

/// <summary>Pre-training without labels and training with them in one Fit.</summary>
[TestClass]
public sealed class PretrainingTests
{
    private readonly MLContext ml = new(seed: 1);

    [TestMethod]
    [DynamicData(nameof(Colours.Architectures), typeof(Colours))]
    public void APretrainedModel_IsTrainedAndScores_AndTheSameSeedRepeatsIt(string architecture)
    {
        var reports = new List<TrainingProgress>();
        using var first = Fit(architecture, pretraining =>
            (pretraining.Epochs, pretraining.LearningRate, pretraining.Progress) = (12, 5e-3, reports.Add));
        Assert.HasCount(12, reports.Where(report => report.EpochCompleted).ToArray());
        Assert.IsLessThan(reports[0].Loss, reports[^1].Loss, "the images are told apart better and better");
        Assert.HasCount(4, first.Training!.Training.Epochs, "the history is that of the training with labels");
        Assert.IsGreaterThan(
            0.9, ml.MulticlassClassification.Evaluate(first.Transform(Colours.WithKeys(ml, Colours.Rows(100, seed: 2)))).MicroAccuracy);

        using var again = Fit(architecture, pretraining => (pretraining.Epochs, pretraining.LearningRate) = (12, 5e-3));
        CollectionAssert.AreEqual(Weights(first), Weights(again));
        using var without = Fit(architecture, null);
        CollectionAssert.AreNotEqual(Weights(first), Weights(without));
    }

    [TestMethod]
    public void UnlabelledData_NeedNoLabelColumn_AndAreLookedAtInstead()
    {
        var rows = Colours.Rows(50, seed: 3);
        var unlabelled = ml.Data.LoadFromEnumerable(rows.Select(row => new ColourRow { Features = row.Features }));
        unlabelled = ml.Transforms.DropColumns("Label").Fit(unlabelled).Transform(unlabelled);
        var reports = new List<TrainingProgress>();
        using var model = Fit("SparseMlp", pretraining =>
            (pretraining.UnlabeledData, pretraining.BatchSize, pretraining.Progress) = (unlabelled, 16, reports.Add));
        Assert.AreEqual(48, reports[^1].Averages.Samples, "whole batches only");

        var other = ml.Data.LoadFromEnumerable(Colours.Pictures(4));
        StringAssert.Contains(
            Assert.Throws<ArgumentException>(() => Fit("SparseMlp", pretraining => pretraining.UnlabeledData = other)).Message, "Features");
        var one = ml.Data.TakeRows(unlabelled, 1);
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => Fit("SparseMlp", pretraining => pretraining.UnlabeledData = one)).Message,
            "There is 1 image to pre-train on");
    }

    [TestMethod]
    public void EveryOption_ReachesThePretraining()
    {
        Action<MoCoPretraining>[] changes =
        [
            _ => { },
            pretraining => pretraining.Epochs = 3,
            pretraining => pretraining.BatchSize = 8,
            pretraining => pretraining.Optimizer = OptimizerKind.Lamb,
            pretraining => pretraining.LearningRate = 1e-2,
            pretraining => pretraining.FinalLearningRate = 1e-3,
            pretraining => pretraining.WarmupFraction = 0.5,
            pretraining => pretraining.WeightDecay = 0.5,
            pretraining => pretraining.Temperature = 1,
            pretraining => pretraining.KeyMomentum = 0.5,
            pretraining => pretraining.HiddenWidth = 9,
            pretraining => pretraining.OutputWidth = 9,
            pretraining => pretraining.FreezePatchEmbedding = true,
            pretraining => pretraining.MinCropScale = 0.9,
            pretraining => pretraining.HorizontalFlip = false,
            pretraining => pretraining.ColorChanges = false,
        ];
        var seen = new List<float[]>();
        foreach (var change in changes)
        {
            using var model = Fit("SparseMlp", change, epochs: 1);
            var weights = Weights(model);
            Assert.IsTrue(weights.All(float.IsFinite), $"change {seen.Count}");
            Assert.IsFalse(seen.Any(weights.SequenceEqual), $"change {seen.Count}");
            seen.Add(weights);
        }
    }

    [TestMethod]
    public void BadOptions_AreNamedWhereTheEstimatorIsMade_AndLaterChangesAreNotSeen()
    {
        AssertRefused(pretraining => pretraining.BatchSize = 1, "BatchSize of the pre-training is 1");
        AssertRefused(pretraining => pretraining.Epochs = 0, "Epochs is 0");
        AssertRefused(pretraining => pretraining.Temperature = 0, "Temperature is 0");
        AssertRefused(pretraining => pretraining.KeyMomentum = 1, "KeyMomentum is 1");
        AssertRefused(pretraining => pretraining.MinCropScale = 0, "MinCropScale is 0");

        var options = Options("SparseMlp", _ => { }, epochs: 1);
        var estimator = Colours.Trainer(ml, options);
        options.Pretraining!.BatchSize = 0;
        using var model = estimator.Fit(Colours.WithKeys(ml, Colours.Rows(40)));

        void AssertRefused(Action<MoCoPretraining> change, string message) =>
            StringAssert.Contains(
                Assert.ThrowsExactly<ArgumentException>(() => Colours.Trainer(ml, Options("SparseMlp", change, epochs: 1))).Message,
                message);
    }

    [TestMethod]
    public void Pretraining_CanBeCancelled_AndLeavesNoTensorBehind()
    {
        long before = LiveTensors.Count();
        Microsoft.ML.MoE.Models.SparseMlpConfig.Tiny.Build().Dispose();
        var counted = torch.Tensor.TotalCount - before;   // a new Parameter leaves the empty tensor that it is made of in the count

        using var source = new CancellationTokenSource();
        var options = Options("SparseMlp", pretraining => pretraining.Progress = _ => source.Cancel(), epochs: 1);
        options.CancellationToken = source.Token;
        Assert.Throws<OperationCanceledException>(() => Colours.Trainer(ml, options).Fit(Colours.WithKeys(ml, Colours.Rows(40))));

        before = LiveTensors.Count();
        Fit("SparseMlp", _ => { }, epochs: 1).Dispose();
        var once = torch.Tensor.TotalCount - before;
        before = LiveTensors.Count();
        Fit("SparseMlp", pretraining => pretraining.Epochs = 6, epochs: 1).Dispose();
        Assert.AreEqual(once, torch.Tensor.TotalCount - before, "whatever the length");
        Assert.IsLessThan(4 * counted, once, "the classifier, the key encoder and the heads");
    }

    private ImageClassificationTransformer Fit(string architecture, Action<MoCoPretraining>? change, int epochs = 4) =>
        Colours.Trainer(ml, Options(architecture, change, epochs)).Fit(Colours.WithKeys(ml, Colours.Rows(epochs == 1 ? 40 : 100)));

    private static ImageClassificationOptions Options(string architecture, Action<MoCoPretraining>? change, int epochs)
    {
        var options = Colours.OptionsOf(architecture);
        options.Epochs = epochs;
        if (change is null)
            return options;
        options.Pretraining = new MoCoPretraining { Epochs = 2, BatchSize = 20, HiddenWidth = 16, OutputWidth = 8 };
        change(options.Pretraining);
        return options;
    }

    private static float[] Weights(ImageClassificationTransformer model) =>
        [.. model.Model.parameters().SelectMany(p => p.data<float>().ToArray())];
}
