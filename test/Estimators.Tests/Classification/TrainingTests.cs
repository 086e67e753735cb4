using System.Text.RegularExpressions;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Classification;

/// <summary>How training runs, reports, stops and repeats.</summary>
[TestClass]
public sealed class TrainingTests
{
    private static readonly Regex EpochLine = new(
        @"Epoch 2/2: loss \d\.\d{4}, balance loss \d\.\d{4}, expert load \d+ % to \d+ % with \d+\.\d % dropped, validation Accuracy \d\.\d{4} and loss \d\.\d{4}, [\d,]+ images/s, learning rate \d\.\de-\d\.");

    private static readonly Regex StepLine = new(
        @"Epoch 1/1, step 50/60: loss \d\.\d{4}, balance loss \d\.\d{4}, expert load \d+ % to \d+ % with \d+\.\d % dropped, [\d,]+ images/s, learning rate \d\.\de-\d\.");

    private readonly MLContext ml = new(seed: 1);

    [TestMethod]
    public void TheSameSeed_GivesTheSameWeights_AndLeavesTorchsGeneratorAlone()
    {
        using var state = torch.Generator.Default.get_state();
        var first = TrainedWeights(options => options.Alter(a => a with { Dropout = 0.1 }));
        CollectionAssert.AreEqual(first, TrainedWeights(options => options.Alter(a => a with { Dropout = 0.1 })));
        CollectionAssert.AreNotEqual(first, TrainedWeights(options => { options.Seed = 8; options.Alter(a => a with { Dropout = 0.1 }); }));
        using var after = torch.Generator.Default.get_state();
        CollectionAssert.AreEqual(state.data<byte>().ToArray(), after.data<byte>().ToArray());
    }

    [TestMethod]
    public void OptimizerAndAverage_ReachTheTraining()
    {
        var results = new List<float[]> { TrainedWeights(_ => { }) };
        foreach (var change in new Action<WideNetImageClassifier.Options>[]
        {
            options => options.Optimizer = OptimizerKind.Lamb,
            options => options.Optimizer = OptimizerKind.Sgd,
            options => (options.Optimizer, options.Momentum) = (OptimizerKind.Sgd, 0.5),
            options => (options.Optimizer, options.Nesterov) = (OptimizerKind.Sgd, true),
            options => options.LayerDecay = 0.5,
            options => options.EmaDecay = 0.9,
        })
        {
            var weights = TrainedWeights(change);
            Assert.IsTrue(weights.All(float.IsFinite));
            Assert.IsFalse(results.Any(other => other.SequenceEqual(weights)), $"result {results.Count} differs from all before");
            results.Add(weights);
        }
    }

    [TestMethod]
    public void WithoutASeedOfItsOwn_TheContextsIsUsed_AndWithoutEither_ANewOne()
    {
        Assert.AreEqual(1, Train(options => options.Seed = null).Seed);

        var random = new MLContext();
        var estimator = random.MulticlassClassification.Trainers.WideNetImageClassifier(Change(options => options.Seed = null));
        var data = Colours.WithKeys(random, Colours.Rows(40));
        using var one = estimator.Fit(data);
        using var two = estimator.Fit(data);
        Assert.AreNotEqual(one.Training!.Seed, two.Training!.Seed);
    }

    [TestMethod]
    public void OneEstimator_FitsTwiceAlike_AndDoesNotSeeLaterChangesOfItsOptions()
    {
        var options = Change(_ => { });
        var estimator = ml.MulticlassClassification.Trainers.WideNetImageClassifier(options);
        var data = Colours.WithKeys(ml, Colours.Rows(40));
        using var first = estimator.Fit(data);
        (options.Seed, options.Epochs) = (99, 50);
        using var second = estimator.Fit(data);
        CollectionAssert.AreEqual(Weights(first), Weights(second));
    }

    [TestMethod]
    public void CachedAndStreamedImages_TrainAlike_WhereThePoolHoldsAllOfThem()
    {
        var cached = TrainedWeights(options => (options.CacheInMemory, options.ValidationFraction) = (true, 0.25));
        CollectionAssert.AreEqual(
            cached,
            TrainedWeights(options => (options.CacheInMemory, options.ValidationFraction, options.ShufflePoolSize) = (false, 0.25, 45)),
            "the same images in the same order");
        CollectionAssert.AreNotEqual(
            cached,
            TrainedWeights(options => (options.CacheInMemory, options.ValidationFraction, options.ShufflePoolSize) = (false, 0.25, 10)),
            "a smaller pool shuffles otherwise");
    }

    [TestMethod]
    public void FlipsThatAlternate_AreThoseOfTheRows_WhereverTheImagesAre()
    {
        static void Alternate(WideNetImageClassifier.Options options, bool cached) =>
            (options.AlternatingFlips, options.CacheInMemory, options.ShufflePoolSize) = (true, cached, 100);
        var alternating = TrainedWeights(options => Alternate(options, cached: true));
        CollectionAssert.AreEqual(alternating, TrainedWeights(options => Alternate(options, cached: false)));
        CollectionAssert.AreNotEqual(alternating, TrainedWeights(options => options.HorizontalFlip = true));
        CollectionAssert.AreNotEqual(alternating, TrainedWeights(_ => { }));
    }

    [TestMethod]
    public void Images_AreCachedWhereTheyFit_OrAsTold()
    {
        Assert.IsTrue(Train(_ => { }).CachedInMemory);
        Assert.IsFalse(Train(options => options.CacheInMemory = false).CachedInMemory);
        Assert.IsFalse(Train(options => options.CacheLimit = 1000).CachedInMemory, "too small a limit streams");
        Assert.IsTrue(
            Train(options => (options.CacheLimit, options.CacheInMemory) = (0, true)).CachedInMemory, "told to, whatever the limit");
    }

    [TestMethod]
    [DataRow(24, 3, DisplayName = "room for one set")]
    [DataRow(48, 1, DisplayName = "room for both")]
    public void TheCacheLimit_IsOneForTrainingAndValidation(int megabytes, int validationPasses)
    {
        var training = Colours.WithKeys(ml, Colours.Rows(60));
        var passes = 0;
        var validation = Colours.WithKeys(ml, Enumerable.Range(0, 1).SelectMany(_ =>   // drawn anew for each pass
        {
            passes++;
            return Colours.Rows(30, seed: 2);
        }));
        passes = 0;
        using var model = ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(
                Change(options => (options.Epochs, options.CacheLimit) = (2, (long)megabytes << 20)))
            .Fit(training, validation);
        Assert.IsTrue(model.Training!.CachedInMemory);
        Assert.AreEqual(validationPasses, passes, "memory is taken in blocks of 16 MB");
    }

    [TestMethod]
    [DynamicData(nameof(Colours.Architectures), typeof(Colours))]
    public void RowsLeftOut_AreCountedAndReported(string architecture)
    {
        var rows = Colours.Rows(60);
        rows[3].Label = null;
        rows[4].Label = null;
        rows[7].Features[5] = float.NaN;
        var logging = new MLContext(seed: 1);
        var log = new LogMessages(logging);
        using var model = Colours.Trainer(logging, OptionsOf(architecture)).Fit(Colours.WithKeys(logging, rows));

        Assert.AreEqual((57, 2L, 1L), (model.Training!.TrainingImages, model.Training.MissingLabels, model.Training.UnreadableImages));
        StringAssert.Contains(
            log.TakeWarnings().Single(),
            "Of the training data 57 rows are used; 2 have no label in column 'Label', 1 have no readable image in column 'Features'.");
    }

    [TestMethod]
    public void FilesThatAreNoImages_AreCounted_AndTheFirstIsNamed()
    {
        using var files = new PictureFiles(30, noImage: 4, empty: 5, absent: 6);
        var logging = new MLContext(seed: 1);
        var log = new LogMessages(logging);
        using var model = files
            .Loader(logging)
            .Append(Colours.Pipeline(logging, Change(options => (options.ImageHeight, options.ImageWidth) = (8, 8))))
            .Fit(files.Rows(logging));

        var summary = model
            .AsEnumerable()
            .OfType<TransformerChain<Microsoft.ML.Transforms.KeyToValueMappingTransformer>>()
            .Single()
            .AsEnumerable()
            .OfType<ImageClassificationTransformer>()
            .Single()
            .Training!;
        Assert.AreEqual((27, 3L), (summary.TrainingImages, summary.UnreadableImages));
        StringAssert.Contains(
            log.TakeWarnings().Single(), "3 have no readable image in column 'Features' (the first: Invalid input stream contents");
    }

    [TestMethod]
    public void Validation_IsByFractionOrByOtherData_AndKeepsTheBestEpoch()
    {
        var fraction = Train(options => options.ValidationFraction = 0.25);
        Assert.AreEqual((45, 15), (fraction.TrainingImages, fraction.ValidationImages));
        Assert.IsNotNull(fraction.Training.BestEpoch);
        Assert.IsTrue(fraction.Training.Epochs.All(e => e.Validation is not null));

        using var model = ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(
                Change(options => (options.ValidationFraction, options.Epochs) = (0.25, 3)))
            .Fit(Colours.WithKeys(ml, Colours.Rows(60)), Colours.WithKeys(ml, Colours.Rows(30, seed: 2)));
        Assert.AreEqual(
            (60, 30), (model.Training!.TrainingImages, model.Training.ValidationImages), "validation data win over the fraction");

        var scored = model.Transform(Colours.WithKeys(ml, Colours.Rows(30, seed: 2)));
        Assert.AreEqual(
            model.Training.Training.BestEpoch!.Validation!.Metric,
            ml.MulticlassClassification.Evaluate(scored).MicroAccuracy,
            1e-9,
            "the model is that of the best epoch");
        Assert.AreEqual(model.Training.Training.BestEpoch.Validation.Loss, ml.MulticlassClassification.Evaluate(scored).LogLoss, 1e-3);
    }

    [TestMethod]
    public void EarlyStopping_EndsTraining()
    {
        var summary = Train(options =>
            (options.Epochs, options.LearningRate, options.FinalLearningRate, options.ValidationFraction, options.EarlyStopping) = (
                50, 0, 0, 0.25, new EarlyStopping { Patience = 2 }));
        Assert.AreEqual(StopReason.EarlyStopping, summary.Training.StopReason);
        Assert.HasCount(3, summary.Training.Epochs);

        Assert.AreEqual(
            1,
            Train(options => (options.ValidationFraction, options.EarlyStopping) = (0.001, new EarlyStopping())).ValidationImages,
            "a small part of few rows is one row");
    }

    [TestMethod]
    public void Progress_ComesAsObjectsAndAsText()
    {
        var logging = new MLContext(seed: 1);
        var log = new LogMessages(logging);
        var reports = new List<TrainingProgress>();
        using var model = logging
            .MulticlassClassification.Trainers.WideNetImageClassifier(
                Change(options => (options.Epochs, options.ValidationFraction, options.Progress) = (2, 0.2, reports.Add)))
            .Fit(Colours.WithKeys(logging, Colours.Rows(60)));

        var messages = log.All;
        CollectionAssert.AreEqual(new[] { 1, 2 }, reports.Where(r => r.EpochCompleted).Select(r => r.Epoch).ToArray());
        Assert.HasCount(3, reports[^1].ExpertLoad!, "one routing operation a block");
        Assert.IsTrue(
            messages.Any(m =>
                m.Contains(
                    "Training a model of 6,580 parameters on 48 images of 8×8 with 3 channels in 4 classes, validating on 12; 2 epochs; "
                        + "images in memory; cpu, Float32.",
                    StringComparison.Ordinal)),
            string.Join('\n', messages));
        Assert.IsTrue(messages.Any(m => EpochLine.IsMatch(m)), string.Join('\n', messages));
        Assert.IsTrue(
            messages.Any(m =>
                m.Contains("Training ended after 2 epochs and 6 steps (EpochsCompleted). The best was epoch ", StringComparison.Ordinal)));
    }

    [TestMethod]
    public void ReportsWithinAnEpoch_AreInTheTextToo()
    {
        var logging = new MLContext(seed: 1);
        var log = new LogMessages(logging);
        var reports = new List<TrainingProgress>();
        using var model = logging
            .MulticlassClassification.Trainers.WideNetImageClassifier(
                Change(options => (options.BatchSize, options.Progress) = (1, reports.Add)))
            .Fit(Colours.WithKeys(logging, Colours.Rows(60)));

        CollectionAssert.AreEqual(new[] { (50, false), (60, true) }, reports.Select(r => (r.Step, r.EpochCompleted)).ToArray());
        Assert.AreEqual(1, log.All.Count(m => StepLine.IsMatch(m)), string.Join('\n', log.All));
    }

    [TestMethod]
    [DynamicData(nameof(Colours.Architectures), typeof(Colours))]
    public void ATokenOrTheContext_CancelsTraining(string architecture)
    {
        using var source = new CancellationTokenSource();
        var reports = 0;
        Action<TrainingProgress> cancel = _ =>
        {
            reports++;
            source.Cancel();
        };
        var data = Colours.WithKeys(ml, Colours.Rows(60));
        var options = OptionsOf(architecture);
        (options.Epochs, options.CancellationToken, options.Progress) = (1000, source.Token, cancel);
        Assert.Throws<OperationCanceledException>(() => Colours.Trainer(ml, options).Fit(data));
        Assert.AreEqual(1, reports);
        Assert.Throws<OperationCanceledException>(() => Colours.Trainer(ml, options).Fit(data), "before the first step");
        Assert.AreEqual(1, reports);

        var cancelling = new MLContext(seed: 1);
        (options.CancellationToken, options.Progress) = (default, _ => Cancel(cancelling));
        var estimator = Colours.Trainer(cancelling, options);
        Assert.Throws<OperationCanceledException>(() => estimator.Fit(Colours.WithKeys(cancelling, Colours.Rows(60))));
    }

    [TestMethod]
    public void EachAugmentation_ChangesTheTraining_AndTheSameSeedRepeatsIt()
    {
        Action<WideNetImageClassifier.Options>[] changes =
        [
            options => options.RandomCropPadding = 1,
            options => options.HorizontalFlip = true,
            options => options.RandomErasing = 0.5,
            options => options.RandomResizedCropScale = 0.5,
            options => options.ColorJitter = 0.4,
            options => options.RandAugmentOperations = 2,
            options => (options.RandAugmentOperations, options.RandAugmentMagnitude) = (2, 4),
            options => (options.RandAugmentOperations, options.RandAugmentMagnitude) = (1, 4),
            options => options.Mixup = 0.4,
            options => options.CutMix = 1,
            options => (options.Mixup, options.CutMix) = (0.4, 1),
            options => (options.Mixup, options.CutMix, options.MixupProbability) = (0.4, 1, 0.5),
            options => options.Alter(a => a with { DropPath = 0.2 }),
        ];
        var seen = new List<float[]> { TrainedWeights(_ => { }) };
        foreach (var change in changes)
        {
            var weights = TrainedWeights(change);
            Assert.IsFalse(seen.Any(weights.SequenceEqual), $"change {seen.Count}");
            CollectionAssert.AreEqual(weights, TrainedWeights(change), $"change {seen.Count}");
            Assert.IsTrue(weights.All(float.IsFinite));
            seen.Add(weights);
        }
        CollectionAssert.AreEqual(
            seen[0], TrainedWeights(options => (options.Mixup, options.CutMix, options.MixupProbability) = (0.4, 1, 0)));
    }

    [TestMethod]
    public void FitAndDispose_LeaveNoTensorBehind()
    {
        // A new Parameter takes over the handle of the tensor that it is made of, and TorchSharp goes on counting the empty tensor.
        long before = LiveTensors.Count();
        Microsoft.ML.MoE.Models.WideNetConfig.Tiny.Build().Dispose();
        var counted = torch.Tensor.TotalCount - before;

        before = LiveTensors.Count();
        Train(_ => { });
        Assert.AreEqual(counted, torch.Tensor.TotalCount - before);

        before = LiveTensors.Count();
        Train(options =>
            (
                options.Epochs,
                options.ValidationFraction,
                options.RandomCropPadding,
                options.HorizontalFlip,
                options.RandomErasing,
                options.Mixup,
                options.CutMix
            ) = (3, 0.2, 1, true, 0.5, 0.4, 1));
        Assert.AreEqual(counted, torch.Tensor.TotalCount - before, "whatever the length");

        before = LiveTensors.Count();
        Assert.Throws<InvalidOperationException>(() =>
            Train(options => options.Progress = _ => throw new InvalidOperationException("from the callback")));
        Assert.AreEqual(counted, torch.Tensor.TotalCount - before, "a Fit that fails frees its model");
    }

    [TestMethod]
    public void AModel_OutlivesTheDisposeScopeItWasFittedIn()
    {
        ImageClassificationTransformer model;
        using (torch.NewDisposeScope())
            model = ml
                .MulticlassClassification.Trainers.WideNetImageClassifier(Change(_ => { }))
                .Fit(Colours.WithKeys(ml, Colours.Rows(40)));
        using (model)
            Assert.HasCount(10, model.Transform(Colours.WithKeys(ml, Colours.Rows(10))).GetColumn<float[]>("Score").ToArray());
    }

    [TestMethod]
    public void AFittedModel_IsInEvaluationMode()
    {
        using var model = ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(Change(options => options.Alter(a => a with { Dropout = 0.5 })))
            .Fit(Colours.WithKeys(ml, Colours.Rows(40)));
        Assert.IsFalse(model.Model.training);
        using var scope = torch.NewDisposeScope();
        var images = torch.ones(2, 3, 8, 8);
        CollectionAssert.AreEqual(
            model.Model.call(images).Logits_NC.data<float>().ToArray(),
            model.Model.call(images).Logits_NC.data<float>().ToArray(),
            "neither dropout nor router noise");
    }

    [TestMethod]
    public void AblationsAndPresets_ReachTheModel()
    {
        using var model = ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(
                Change(options =>
                {
                    options.Alter(a =>
                        a with
                        {
                            Blocks = 4,
                            Experts = 3,
                            ExpertsPerToken = 1,
                            ShareLayerNorms = true,
                            RoutingGroups = 2,
                            TrainingCapacity = null,
                        }
                    );
                    options.BalanceLossWeight = 0.5;
                }))
            .Fit(Colours.WithKeys(ml, Colours.Rows(40)));
        var config = (Microsoft.ML.MoE.Models.WideNetConfig)model.Model.Config;
        Assert.AreEqual(
            (4, 3, 1, true, 2, 0.5),
            (config.Blocks, config.Experts, config.ExpertsPerToken, config.ShareLayerNorms, config.RoutingGroups, config.BalanceLossWeight));
        Assert.IsNull(config.TrainingCapacity);
        Assert.AreEqual((8, 8, 3, 4), (config.ImageHeight, config.ImageWidth, config.Channels, config.ClassCount));
        Assert.HasCount(2, model.Training!.Training.Epochs[0].Averages.ExpertLoad!, "a routing operation a group");
    }

    [TestMethod]
    public void ThePositionsStart_ReachesTheModel()
    {
        using var model = ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(
                Change(options => options.Alter(a => a with { PositionStart = PositionStart.SineCosine })))
            .Fit(Colours.WithKeys(ml, Colours.Rows(40)));
        Assert.AreEqual(PositionStart.SineCosine, ((TransformerClassifierConfig)model.Model.Config).PositionStart);
    }

    private static ImageClassificationOptions OptionsOf(string architecture)
    {
        var options = Colours.OptionsOf(architecture);
        options.Epochs = 1;
        return options;
    }

    private static WideNetImageClassifier.Options Change(Action<WideNetImageClassifier.Options> change)
    {
        var options = Colours.Options();
        options.Epochs = 1;
        change(options);
        return options;
    }

    private ImageClassificationSummary Train(Action<WideNetImageClassifier.Options> change)
    {
        using var model = ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(Change(change))
            .Fit(Colours.WithKeys(ml, Colours.Rows(60)));
        return model.Training!;
    }

    private float[] TrainedWeights(Action<WideNetImageClassifier.Options> change)
    {
        using var model = ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(Change(change))
            .Fit(Colours.WithKeys(ml, Colours.Rows(60)));
        return Weights(model);
    }

    // Notebooks and ML.NET's own tools cancel so; the method is not public.
    private static void Cancel(MLContext context) =>
        typeof(MLContext)
            .GetMethod("CancelExecution", System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.NonPublic)!
            .Invoke(context, null);

    private static float[] Weights(ImageClassificationTransformer model) =>
        [.. model.Model.parameters().SelectMany(p => p.data<float>().ToArray())];
}
