using System.Reflection;
using System.Security.Cryptography;
using Estimators.Tests.Generalists;
using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Estimators.Tests.TextEncoders;
using Microsoft.ML;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Hosting;

/// <summary>
/// Every option of <see cref="TrainerOptions"/>, found by reflection, changes the training of every estimator or is refused with a reason;
/// and what makes it another training is in its identity. So it is with those of a pre-training and of the tuning of prompts. An option
/// that is added is tried here with a value made from its type.
/// </summary>
[TestClass]
public sealed class EveryOptionTests
{
    private static readonly MLContext Ml = new(seed: 1);

    // What an option needs to act.
    private static readonly Dictionary<string, Action<TrainingOptions>> Needs = new()
    {
        [nameof(TrainerOptions.Momentum)] = options => options.Optimizer = OptimizerKind.Sgd,
        [nameof(TrainerOptions.Nesterov)] = options => options.Optimizer = OptimizerKind.Sgd,
        [nameof(TrainerOptions.MuonLearningRate)] = options => options.Optimizer = OptimizerKind.Muon,
        [nameof(TrainerOptions.MuonMomentum)] = options => options.Optimizer = OptimizerKind.Muon,
        [nameof(TrainerOptions.EarlyStopping)] = options => options.Epochs = 4,
    };

    // Values that a type alone does not give.
    private static readonly Dictionary<string, Func<object>> Values = new()
    {
        [nameof(TrainerOptions.MaxSteps)] = () => 2,
        [nameof(TrainerOptions.MaxTime)] = () => TimeSpan.FromTicks(1),
        [nameof(TrainerOptions.WarmupFraction)] = () => 0.5,
        [nameof(TrainerOptions.NoWeightDecay)] = () => new[] { "weight" },
        [nameof(TrainerOptions.GradientClipNorm)] = () => 0.01,
        [nameof(TrainerOptions.Epsilon)] = () => 1e-2,
        [nameof(TrainerOptions.Precision)] = () => Precision.BFloat16,
        [nameof(TrainerOptions.ValidationFraction)] = () => 0.5,
        [nameof(TrainerOptions.EarlyStopping)] = () => new EarlyStopping { Patience = 1, MinDelta = 1e9 },
        [nameof(TrainerOptions.Progress)] = () => (Action<TrainingProgress>)(_ => { }),
        [nameof(TrainerOptions.CancellationToken)] = () => new CancellationTokenSource().Token,
        [nameof(TrainerOptions.Checkpoints)] = () => new CheckpointOptions(Path.Combine(Path.GetTempPath(), $"moe-ml-{Guid.NewGuid():n}")),
        [nameof(MoCoPretraining.UnlabeledData)] = () => Colours.WithKeys(Ml, Colours.Rows(24, seed: 5)),
    };

    // Which of the two measures chooses another epoch depends on luck; TrainingLoopEndTests make it.
    private static readonly string[] WithoutEffectOnSome = [nameof(TrainerOptions.Monitor)];

    // What the identity tells in another way.
    private static readonly string[] ToldOtherwise = [nameof(TrainerOptions.Seed), nameof(MoCoPretraining.UnlabeledData)];

    [TestMethod]
    public void OfAnImageClassifier() => AssertAll<TrainerOptions>(Images);

    [TestMethod]
    public void OfAPretraining() =>
        AssertAll<MoCoPretraining>(
            Unlabelled,
            refused:
            [
                nameof(MoCoPretraining.Seed), nameof(MoCoPretraining.Threads), nameof(MoCoPretraining.Precision),
                nameof(MoCoPretraining.Checkpoints), nameof(MoCoPretraining.OnCancellation), nameof(MoCoPretraining.ValidationFraction),
                nameof(MoCoPretraining.EarlyStopping), nameof(MoCoPretraining.Monitor), nameof(MoCoPretraining.KeepBestWeights),
                nameof(MoCoPretraining.LabelSmoothing), nameof(MoCoPretraining.BalanceLossWeight), nameof(MoCoPretraining.LayerDecay),
            ]);

    [TestMethod]
    public void OfATuningOfPrompts()
    {
        string[] tasks = ["mood"];
        var options = Toys.Options(tasks);
        options.Alter(a => a with { Block = a.Block with { RoutingLevel = RoutingLevel.Token } });
        (options.Epochs, options.Threads) = (1, 1);
        using var model = Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows(tasks, 16, seed: 1)));
        AssertAll<PromptTuningOptions>(
            change => Prompts(model, change),
            refused:
            [
                nameof(PromptTuningOptions.Optimizer),
                nameof(PromptTuningOptions.Precision), nameof(PromptTuningOptions.Checkpoints),
                nameof(PromptTuningOptions.ValidationFraction), nameof(PromptTuningOptions.EarlyStopping),
                nameof(PromptTuningOptions.Monitor), nameof(PromptTuningOptions.KeepBestWeights), nameof(PromptTuningOptions.LayerDecay),
            ]);
    }

    [TestMethod]
    public void OfALanguageModel() =>
        AssertAll<TrainerOptions>(
            Texts,
            refused: [nameof(TrainerOptions.LayerDecay), nameof(TrainerOptions.LabelSmoothing), nameof(TrainerOptions.BalanceLossWeight)]);

    [TestMethod]
    public void OfAClassifierOfTexts() => AssertAll<TrainerOptions>(Sentences, refused: [nameof(TrainerOptions.LayerDecay)]);

    [TestMethod]
    public void OfAGeneralist() => AssertAll<TrainerOptions>(Tasks, refused: [nameof(TrainerOptions.LayerDecay), nameof(TrainerOptions.Precision)]);

    [TestMethod]
    [DataRow(nameof(Images))]
    [DataRow(nameof(Texts))]
    [DataRow(nameof(Sentences))]
    [DataRow(nameof(Tasks))]
    public void WhatChangesNoWeightIsHeardToo(string estimator)
    {
        Func<Action<TrainerOptions>, (string Outcome, IReadOnlyDictionary<string, string>)> train = estimator switch
        {
            nameof(Images) => Images,
            nameof(Texts) => Texts,
            nameof(Sentences) => Sentences,
            _ => Tasks,
        };
        Assert.IsGreaterThan(Reports(interval: 1000), Reports(interval: 1), "a report after every step");

        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsExactly<OperationCanceledException>(() => train(options => options.CancellationToken = cancelled.Token));

        using var soon = new CancellationTokenSource();
        StringAssert.Contains(
            train(options =>
            {
                (options.CancellationToken, options.OnCancellation) = (soon.Token, CancellationBehavior.ReturnBest);
                (options.ProgressInterval, options.Progress) = (1, _ => soon.Cancel());
            }).Outcome,
            nameof(StopReason.Cancelled));

        var folder = Directory.CreateTempSubdirectory("moe-ml-");
        try
        {
            _ = train(options => options.Checkpoints = new CheckpointOptions(folder.FullName));
            Assert.IsNotEmpty(folder.EnumerateFileSystemInfos());
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        int Reports(int interval)
        {
            var reports = 0;
            _ = train(options => (options.ProgressInterval, options.Progress) = (interval, _ => reports++));
            return reports;
        }
    }

    [TestMethod]
    public void WhatIsNull_IsChosen_AndTheSummarySaysWhatAndWhy()
    {
        var options = Colours.Options();
        (options.Epochs, options.PatchSize, options.Architecture) = (null, null, WideNetConfig.Tiny with { Blocks = 1 });
        options.MaxSteps = 1;
        using var model = Colours.Trainer(Ml, options).Fit(Colours.WithKeys(Ml, Colours.Rows(40)));
        var training = model.Training!;
        Assert.Contains(new ChosenOption("Epochs", "10", "usual"), training.Chosen);
        Assert.Contains(new ChosenOption("LabelSmoothing", "0.1", "usual for image classifiers"), training.Chosen);
        Assert.Contains(new ChosenOption("PatchSize", "1", "it suits images of 8×8"), training.Chosen);
        Assert.IsFalse(training.Chosen.Any(choice => choice.Option is "BatchSize" or "Architecture"), "given");
        Assert.AreEqual("10", training.Options["Epochs"]);
        Assert.AreEqual("16", training.Options["BatchSize"]);
        Assert.IsNull(options.Epochs, "the caller's options stay as they are");

        using var zip = new MemoryStream();
        Ml.Model.Save(model, null, zip);
        zip.Position = 0;
        using var loaded = (ImageClassificationTransformer)Ml.Model.Load(zip, out _);
        CollectionAssert.AreEqual(training.Chosen.ToArray(), loaded.Training!.Chosen.ToArray());
        CollectionAssert.AreEquivalent(training.Options.ToArray(), loaded.Training.Options.ToArray());
    }

    [TestMethod]
    public void WithoutAnArchitecture_ItAndItsRecipeSuitTheData()
    {
        var options = new WideNetImageClassifier.Options { MaxSteps = 1, ValidationFraction = 0.25 };
        var data = Colours.WithKeys(Ml, Colours.Rows(40));
        using var model = Colours.Trainer(Ml, options).Fit(data);
        Assert.IsNotNull(model.Model.Config.Stem);
        CollectionAssert.IsSubsetOf(
            new ChosenOption[]
            {
                new("Architecture", "WideNet", "Thumbnail, for images of up to 64 pixels"),
                new("Epochs", "100", "it suits 30 images"),
                new("BatchSize", "20", "it suits 30 images"),
                new("Optimizer", "Muon", "found for models with a stem"),
                new("LearningRate", "0.003", "found for models with a stem, for what Muon leaves to AdamW"),
                new("LabelSmoothing", "0.05", "found for models with a stem"),
                new("RandomCropPadding", "0", "it suits images of 8×8"),
            },
            model.Training!.Chosen.ToArray());

        // What is given stays; who gives a rate means AdamW's.
        (options.LearningRate, options.Epochs, options.RandomResizedCropScale) = (1e-3, 3, 0.5);
        using var slower = Colours.Trainer(Ml, options).Fit(data);
        Assert.Contains(new ChosenOption("Optimizer", "AdamW", "usual"), slower.Training!.Chosen);
        Assert.AreEqual("3", slower.Training.Options["Epochs"]);
        Assert.AreEqual("0", slower.Training.Options["RandomCropPadding"]);

        // A model that was trained before goes on as gently as ever.
        options = new() { MaxSteps = 1, InitialModel = model };
        using var further = Colours.Trainer(Ml, options).Fit(data);
        Assert.Contains(new ChosenOption("Optimizer", "AdamW", "usual"), further.Training!.Chosen);
        Assert.Contains(new ChosenOption("Epochs", "10", "usual"), further.Training.Chosen);
    }

    [TestMethod]
    public void AnEstimator_ChoosesAnewForOtherData()
    {
        var trainer = Colours.Trainer(Ml, new WideNetImageClassifier.Options { MaxSteps = 1 });
        using var few = trainer.Fit(Colours.WithKeys(Ml, Colours.Rows(40)));
        using var more = trainer.Fit(Colours.WithKeys(Ml, Colours.Rows(1000)));
        Assert.AreEqual("20", few.Training!.Options["BatchSize"]);
        Assert.AreEqual("50", more.Training!.Options["BatchSize"]);
        Assert.AreEqual("53", more.Training.Options["Epochs"]);
    }

    [TestMethod]
    [DataRow(10, 100, 20)]
    [DataRow(1_000, 53, 50)]
    [DataRow(20_000, 12, 100)]
    [DataRow(60_000, 20, 100)]
    [DataRow(100_000, 15, 100)]
    [DataRow(1_000_000, 12, 100)]
    public void TheNumberOfImagesDecidesPassesAndBatch(int images, int epochs, int batch)
    {
        Assert.AreEqual(epochs, SmallDataRecipe.Epochs(images));
        Assert.AreEqual(batch, SmallDataRecipe.BatchSize(images));
    }

    private static void AssertAll<TOptions>(
        Func<Action<TOptions>, (string, IReadOnlyDictionary<string, string>)> train, params string[] refused)
        where TOptions : TrainingOptions
    {
        var usual = new Dictionary<string, (string Outcome, IReadOnlyDictionary<string, string> Identity)>();
        foreach (var option in typeof(TOptions).GetProperties().Where(option => option.CanWrite))
        {
            if (option.Name.StartsWith("Muon", StringComparison.Ordinal) && refused.Contains(nameof(TrainerOptions.Optimizer)))
                continue;   // what they need is refused itself
            var needs = Needs.GetValueOrDefault(option.Name, _ => { });
            var key = Needs.ContainsKey(option.Name) ? option.Name : "";
            if (!usual.TryGetValue(key, out var before))
                usual.Add(key, before = train(options => needs(options)));

            try
            {
                var (outcome, identity) = train(options =>
                {
                    needs(options);
                    option.SetValue(options, Another(option, option.GetValue(options)));
                });
                var decides =
                    option.GetCustomAttribute<OutsideIdentityAttribute>() is null
                    && !option.Name.EndsWith("ColumnName", StringComparison.Ordinal);
                Assert.AreEqual(decides, identity.Except(before.Identity).Any(), $"whether {option.Name} is in the identity");
                if (decides && !WithoutEffectOnSome.Contains(option.Name) || ToldOtherwise.Contains(option.Name))
                    Assert.AreNotEqual(before.Outcome, outcome, $"{option.Name} changes the training");
                else if (!decides && option.Name != nameof(TrainerOptions.Threads))   // which may change the last digits
                    Assert.AreEqual(before.Outcome, outcome, $"{option.Name} leaves the weights as they are");
                Assert.DoesNotContain(option.Name, refused, "is not refused");
            }
            catch (ArgumentException exception)
            {
                Assert.Contains(option.Name, refused, $"{option.Name} is refused: {exception.Message}");
                Assert.Contains(option.Name, exception.Message);
            }
        }
    }

    private static object Another(PropertyInfo option, object? value)
    {
        if (Values.TryGetValue(option.Name, out var given))
            return given();
        var type = Nullable.GetUnderlyingType(option.PropertyType) ?? option.PropertyType;
        return value switch
        {
            _ when type == typeof(bool) => value is false,
            _ when type == typeof(int) => value is int and > 0 ? (int)value * 2 : 2,
            _ when type == typeof(double) => value is double and > 0 ? (double)value / 2 : 0.25,
            _ when type == typeof(string) => "Other",
            _ when type.IsEnum => Enum.GetValues(type).Cast<object>().Last(other => !other.Equals(value)),
            _ => throw new NotSupportedException(
                $"No other value of {option.PropertyType} for {option.Name}: add one to {nameof(Values)}."),
        };
    }

    private static (string, IReadOnlyDictionary<string, string>) Images(Action<TrainerOptions> change)
    {
        var options = Colours.Options();
        Prepare(options, change);
        using var model = Colours.Trainer(Ml, options).Fit(Colours.WithKeys(Ml, Colours.Rows(40)));
        return (Outcome(model.Model, model.Training!.Training), options.Describe());
    }

    // Of the pre-training alone: what follows has one step, the same for all.
    private static (string, IReadOnlyDictionary<string, string>) Unlabelled(Action<MoCoPretraining> change)
    {
        var options = Colours.Options();
        options.Pretraining = new() { Epochs = 2, BatchSize = 8, HiddenWidth = 16, OutputWidth = 8 };
        Prepare(options, _ => { });
        options.MaxSteps = 1;
        change(options.Pretraining);
        using var model = Colours.Trainer(Ml, options).Fit(Colours.WithKeys(Ml, Colours.Rows(40)));
        return (Outcome(model.Model, model.Training!.Training), options.Describe());
    }

    private static (string, IReadOnlyDictionary<string, string>) Prompts(GeneralistTransformer model, Action<PromptTuningOptions> change)
    {
        var options = new PromptTuningOptions { Epochs = 2, MaxSteps = 7, BatchSize = 8, Prompts = 2, Threads = 1, WeightDecay = 0.1 };
        change(options);
        using var tuned = model.TunePrompts(
            Toys.All.Single(task => task.Name == "mood"), Toys.View(Ml, Toys.Rows("mood", 24, seed: 2)), options);
        return (Outcome(tuned.Model, tuned.Training!.Training), options.Describe());
    }

    private static (string, IReadOnlyDictionary<string, string>) Sentences(Action<TrainerOptions> change)
    {
        var options = Moods.Options();
        Prepare(options, change);
        using var model = Ml.MulticlassClassification.Trainers.WideNetTextClassifier(options).Fit(Moods.View(Ml, Moods.Rows(40)));
        return (Outcome(model.Encoder, model.Training!.Training), options.Describe());
    }

    private static (string, IReadOnlyDictionary<string, string>) Texts(Action<TrainerOptions> change)
    {
        var options = Rhymes.Options();
        options.Alter(a =>
            a with { SparseLayer = new PeerOptions((PeerOptions)a.SparseLayer!) { Tables = new() { LearningRateScale = 2 } } }
        );
        Prepare(options, change);
        using var model = Ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(Ml));
        return (Outcome(model.Model, model.Training!.Training), options.Describe());
    }

    private static (string, IReadOnlyDictionary<string, string>) Tasks(Action<TrainerOptions> change)
    {
        string[] tasks = ["mood", "find"];
        var options = Toys.Options(tasks);
        options.Alter(a => a with { Block = a.Block with { RoutingLevel = RoutingLevel.Token } });
        Prepare(options, change);
        using var model = Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows(tasks, 20, seed: 1)));
        return (Outcome(model.Model, model.Training!.Training), options.Describe());
    }

    private static void Prepare(TrainerOptions options, Action<TrainerOptions> change)
    {
        (options.Epochs, options.BatchSize, options.ValidationFraction, options.Threads, options.Precision) = (
            2, 8, 0.25, 1, Precision.Float32);
        change(options);
    }

    private static string Outcome(torch.nn.Module model, TrainingResult training)
    {
        using var weights = new MemoryStream();
        ModuleWeights.Save(model, weights);
        return $"{Convert.ToHexString(SHA256.HashData(weights.ToArray()))} {training.Steps} {training.StopReason} "
            + $"{training.BestWeightsRestored}";
    }
}
