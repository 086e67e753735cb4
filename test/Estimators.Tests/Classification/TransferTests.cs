using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Classification;

/// <summary>Training that starts from an earlier model.</summary>
[TestClass]
public sealed class TransferTests
{
    private static readonly MLContext Ml = new(seed: 1);
    private static readonly List<ColourRow> Test = Colours.Rows(100, seed: 2);
    private static ImageClassificationTransformer earlier = null!;

    [ClassInitialize]
    public static void Train(TestContext _) =>
        earlier = Ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(
                Options(options => (options.InitialModel, options.Epochs) = (null, 3)))
            .Fit(Colours.WithKeys(Ml, Colours.Rows(120)), Colours.WithKeys(Ml, Test));

    [ClassCleanup]
    public static void Free() => earlier.Dispose();

    [TestMethod]
    public void TheSameClasses_GoOnWhereTheEarlierModelStood()
    {
        // Other keys for the same classes: in the order of their first rows.
        var data = WithKeysByOccurrence(Test);
        using var model = Fit(data, options => (options.LearningRate, options.FinalLearningRate) = (0, 0));

        var accuracy = earlier.Training!.Training.BestEpoch!.Validation!.Metric;
        Assert.IsGreaterThan(0.8, accuracy);
        Assert.AreEqual(accuracy, Ml.MulticlassClassification.Evaluate(model.Transform(data)).MicroAccuracy, 1e-9);
        CollectionAssert.AreEqual(Predictions(earlier, Colours.WithKeys(Ml, Test)), Predictions(model, data));
        AssertSame(earlier, model, ModelParts.Backbone);
        CollectionAssert.AreNotEqual(
            Weights(earlier, ModelParts.Head), Weights(model, ModelParts.Head), "its rows are in the order of the new keys");
        CollectionAssert.AreEquivalent(Weights(earlier, ModelParts.Head), Weights(model, ModelParts.Head));
    }

    [TestMethod]
    public void TheFirstEpoch_BeginsWithTheEarlierModelsLoss()
    {
        using var model = Ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(Options(options => options.LearningRate = 1e-4))
            .Fit(Colours.WithKeys(Ml, Colours.Rows(120)), Colours.WithKeys(Ml, Test));
        using var anew = Ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(
                Options(options => (options.LearningRate, options.InitialModel) = (1e-4, null)))
            .Fit(Colours.WithKeys(Ml, Colours.Rows(120)), Colours.WithKeys(Ml, Test));
        var before = earlier.Training!.Training.BestEpoch!.Validation!;
        Assert.IsGreaterThanOrEqualTo(before.Metric - 0.02, model.History[0].Validation!.Metric);
        Assert.AreEqual(before.Loss, model.History[0].Validation!.Loss, 0.05);
        Assert.IsGreaterThan(before.Loss + 0.2, anew.History[0].Validation!.Loss, "from random weights");
    }

    [TestMethod]
    public void TheEarlierModel_IsNotChanged()
    {
        var before = Weights(earlier, ModelParts.Backbone | ModelParts.Head);
        using var model = Fit(Colours.WithKeys(Ml, Test), _ => { });
        CollectionAssert.AreEqual(before, Weights(earlier, ModelParts.Backbone | ModelParts.Head));
        CollectionAssert.AreNotEqual(before, Weights(model, ModelParts.Backbone | ModelParts.Head));
    }

    [TestMethod]
    [DataRow(ModelParts.Backbone)]
    [DataRow(ModelParts.Embedding)]
    [DataRow(ModelParts.Blocks)]
    [DataRow(ModelParts.Head)]
    [DataRow(ModelParts.Embedding | ModelParts.Head)]
    public void FrozenParts_StayBitForBit_AndTheOthersLearn(ModelParts frozen)
    {
        using var model = Fit(Colours.WithKeys(Ml, Colours.Rows(60)), options => options.Frozen = frozen);
        foreach (var part in new[] { ModelParts.Embedding, ModelParts.Blocks, ModelParts.Head })
        {
            if ((part & frozen) != 0)
                AssertSame(earlier, model, part);
            else
                CollectionAssert.AreNotEqual(Weights(earlier, part), Weights(model, part), $"{part}");
        }
        Assert.IsTrue(model.Model.parameters().All(parameter => parameter.requires_grad), "the model's owner may train all of it");
    }

    [TestMethod]
    public void FrozenParts_StayBitForBit_InAViTMoEAndInBFloat16()
    {
        var options = new VisionTransformerImageClassifier.Options
        {
            Architecture = VisionTransformerConfig.MoeTiny,
            PatchSize = 4,
            Epochs = 1,
            BatchSize = 16,
            LearningRate = 5e-3,
            Seed = 7,
            Precision = Microsoft.ML.MoE.Runtime.Precision.BFloat16,
        };
        using var first = Ml
            .MulticlassClassification.Trainers.VisionTransformerImageClassifier(options)
            .Fit(Colours.WithKeys(Ml, Colours.Rows(60)));
        (options.InitialModel, options.Frozen) = (first, ModelParts.Blocks);
        using var second = Ml
            .MulticlassClassification.Trainers.VisionTransformerImageClassifier(options)
            .Fit(Colours.WithKeys(Ml, Colours.Rows(60)));
        AssertSame(first, second, ModelParts.Blocks);
        CollectionAssert.AreNotEqual(Weights(first, ModelParts.Embedding), Weights(second, ModelParts.Embedding));
    }

    [TestMethod]
    public void OtherClasses_GetANewHead()
    {
        var rows = Colours.Rows(120).Where(row => row.Label != "white").ToList();
        using var model = Fit(
            Colours.WithKeys(Ml, rows),
            options => (options.Frozen, options.LearningRate, options.Epochs) = (ModelParts.Backbone, 5e-2, 3),
            out var messages);
        Assert.AreEqual(3, model.Model.Config.ClassCount);
        AssertSame(earlier, model, ModelParts.Backbone);
        Assert.IsTrue(
            messages.Any(m =>
                m.Contains(
                    "the head starts anew: the training data have 3 classes and the earlier model 4; frozen: Backbone.",
                    StringComparison.Ordinal)),
            string.Join('\n', messages));
        Assert.IsGreaterThan(
            0.9,
            Ml.MulticlassClassification.Evaluate(model.Transform(Colours.WithKeys(Ml, rows))).MicroAccuracy,
            "what the backbone knows is enough");

        // As many classes, but others. Nothing is learnt, so that the head can be seen to be the zeros that a new one starts from.
        rows = Colours.Rows(40);
        rows.ForEach(row => row.Label = row.Label == "white" ? "grey" : row.Label);
        using var renamed = Fit(
            Colours.WithKeys(Ml, rows), options => (options.LearningRate, options.FinalLearningRate) = (0, 0), out messages);
        Assert.IsTrue(Weights(renamed, ModelParts.Head).All(value => value == 0));
        Assert.IsTrue(
            messages.Any(m => m.Contains("starts anew: the earlier model does not have the class 'grey'", StringComparison.Ordinal)),
            string.Join('\n', messages));
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() =>
                    Fit(Colours.WithKeys(Ml, rows), options => options.Frozen = ModelParts.Head))
                .Message,
            "Frozen is Head, but the earlier model does not have the class 'grey'");
    }

    [TestMethod]
    public void ALoadedPipeline_ServesLikeTheModelItself()
    {
        var data = Ml.Data.LoadFromEnumerable(Colours.Rows(60));
        using var chain = Colours.Pipeline(Ml, Options(options => options.InitialModel = null)).Fit(data);
        using var zip = new MemoryStream();
        Ml.Model.Save(chain, data.Schema, zip);
        zip.Position = 0;
        var loaded = Ml.Model.Load(zip, out _);

        using var fromTransformer = Fit(Colours.WithKeys(Ml, Colours.Rows(60)), options => options.InitialModel = Classifier(chain));
        using var fromChain = Colours.Pipeline(Ml, Options(options => options.InitialModel = loaded)).Fit(data);
        var all = ModelParts.Backbone | ModelParts.Head;
        CollectionAssert.AreEqual(Weights(fromTransformer, all), Weights(Classifier(fromChain), all));

        using var again = new MemoryStream();
        Ml.Model.Save(fromChain, data.Schema, again);
        again.Position = 0;
        var reloaded = Ml.Model.Load(again, out _);
        CollectionAssert.AreEqual(
            fromChain.Transform(data).GetColumn<float[]>("Score").SelectMany(s => s).ToArray(),
            reloaded.Transform(data).GetColumn<float[]>("Score").SelectMany(s => s).ToArray());
        (loaded as IDisposable)?.Dispose();
        (reloaded as IDisposable)?.Dispose();
    }

    [TestMethod]
    public void TheTrainingsBefore_AreKeptInTheModel()
    {
        using var second = Fit(Colours.WithKeys(Ml, Colours.Rows(40)), options => options.Epochs = 2);
        using var third = Fit(Colours.WithKeys(Ml, Colours.Rows(30)), options => options.InitialModel = second);
        using var zip = new MemoryStream();
        Ml.Model.Save(third, null, zip);
        zip.Position = 0;
        using var loaded = (ImageClassificationTransformer)Ml.Model.Load(zip, out _);
        foreach (var training in new[] { third.Training!, loaded.Training! })
        {
            CollectionAssert.AreEqual(new[] { 120, 40 }, training.Earlier.Select(before => before.TrainingImages).ToArray());
            CollectionAssert.AreEqual(new[] { 3, 2 }, training.Earlier.Select(before => before.Training.Epochs.Count).ToArray());
            Assert.IsTrue(training.Earlier.All(before => before.Earlier.Count == 0));
            Assert.AreEqual(30, training.TrainingImages);
        }
        Assert.AreEqual(earlier.History[2].Averages.Loss, loaded.Training!.Earlier[0].Training.Epochs[2].Averages.Loss);
    }

    [TestMethod]
    public void LargerImages_InterpolateThePositions()
    {
        var pictures = Colours.WithKeys(Ml, Colours.Pictures(120));
        using var small = Fit(pictures, options =>
            (options.InitialModel, options.ImageHeight, options.ImageWidth, options.Epochs) = (null, 8, 8, 3));
        using var large = Fit(
            pictures,
            options =>
                (options.InitialModel, options.ImageHeight, options.ImageWidth, options.LearningRate, options.FinalLearningRate) = (
                    small, 16, 12, 0, 0),
            out var messages);
        Assert.IsTrue(
            messages.Any(m =>
                m.Contains(
                    "Starting from an earlier model of 8×8 with 3 channels, its positions interpolated; the head goes on, with the same "
                        + "classes; frozen: None.",
                    StringComparison.Ordinal)),
            string.Join('\n', messages));
        Assert.AreEqual((16, 12), (large.Model.Config.ImageHeight, large.Model.Config.ImageWidth));

        var test = Colours.WithKeys(Ml, Colours.Pictures(100, seed: 2));
        var before = Ml.MulticlassClassification.Evaluate(small.Transform(test)).MicroAccuracy;
        Assert.IsGreaterThan(0.8, before);
        Assert.IsGreaterThan(
            before - 0.1, Ml.MulticlassClassification.Evaluate(large.Transform(test)).MicroAccuracy, "colours are seen at any size");
    }

    [TestMethod]
    public void SizesThatNobodyGives_AreTheEarlierModels()
    {
        // Pictures of a column that does not say their size.
        using var files = new PictureFiles(40);
        var loadPictures = files.Loader(Ml);
        using var first = loadPictures
            .Append(
                Colours.Pipeline(
                    Ml,
                    Options(options => (options.InitialModel, options.ImageHeight, options.ImageWidth, options.Channels) = (null, 8, 8, 1))))
            .Fit(files.Rows(Ml));
        using var second = loadPictures.Append(Colours.Pipeline(Ml, Options(options => options.InitialModel = first))).Fit(files.Rows(Ml));
        var config = Classifier(second).Model.Config;
        Assert.AreEqual((8, 8, 1), (config.ImageHeight, config.ImageWidth, config.Channels));

        // Vectors without dimensions; and the patches that would be chosen for 8×8 otherwise are of 1×1.
        var flat = Colours.Rows(40).Select(row => new FlatRow { Features = row.Features, Label = row.Label }).ToList();
        using var third = Fit(Colours.WithKeys(Ml, flat), options => options.PatchSize = null);
        Assert.AreEqual(
            (8, 8, 3, 4),
            (third.Model.Config.ImageHeight, third.Model.Config.ImageWidth, third.Model.Config.Channels, third.Model.Config.PatchSize));
    }

    [TestMethod]
    public void ASparseMlp_KeepsTheEarlierModelsPatches_AndMayDropOtherPaths()
    {
        var data = Colours.WithKeys(Ml, Colours.Rows(40));
        var options = Colours.SparseMlpOptions();
        options.Epochs = 1;
        using var first = Ml.MulticlassClassification.Trainers.SparseMlp(options).Fit(data);

        // Without the earlier model the patches that are chosen for 8×8 are of 1×1.
        (options.InitialModel, options.PatchSize, options.LearningRate, options.FinalLearningRate) = (first, null, 0, 0);
        options.Alter(a => a with { DropPath = 0.25 });
        using var second = Ml.MulticlassClassification.Trainers.SparseMlp(options).Fit(data);
        Assert.AreEqual(SparseMlpConfig.Tiny with { DropPath = 0.25 }, second.Model.Config);
        AssertSame(first, second, ModelParts.Backbone | ModelParts.Head);
    }

    [TestMethod]
    public void TheNormalisationStays_AndOtherUnitsAreWarnedOf()
    {
        using var same = Fit(Colours.WithKeys(Ml, Colours.Rows(60, seed: 5)), _ => { }, out var messages);
        CollectionAssert.AreEqual(earlier.Scorer.Normalization.Mean, same.Scorer.Normalization.Mean);
        CollectionAssert.AreEqual(earlier.Scorer.Normalization.StandardDeviation, same.Scorer.Normalization.StandardDeviation);
        Assert.IsFalse(messages.Any(m => m.Contains("same units", StringComparison.Ordinal)));

        var rows = Colours.Rows(60);
        rows.ForEach(row => row.Features = [.. row.Features.Select(value => value / 255)]);
        using var other = Fit(Colours.WithKeys(Ml, rows), _ => { }, out messages);
        CollectionAssert.AreEqual(earlier.Scorer.Normalization.Mean, other.Scorer.Normalization.Mean);
        Assert.AreEqual(
            1,
            messages.Count(m => m.Contains("in channel 0; those that InitialModel was trained on had", StringComparison.Ordinal)),
            string.Join('\n', messages));
    }

    [TestMethod]
    public void TheBackbonesRate_IsAPartOfTheHeads()
    {
        // One step of plain gradient descent: the weights change in proportion to the rate.
        float[][] Change(double scale)
        {
            using var model = Fit(Colours.WithKeys(Ml, Colours.Rows(60)), options =>
            {
                (options.Optimizer, options.Momentum, options.GradientClipNorm, options.WeightDecay, options.WarmupFraction) = (
                    OptimizerKind.Sgd, 0, null, 0, 0);
                (options.BatchSize, options.LearningRate, options.FinalLearningRate, options.BackboneLearningRateScale) = (
                    60, 0.1, 0.1, scale);
                options.Alter(a => a with { RouterNoise = 0 });
            });
            Assert.AreEqual(1, model.Training!.Training.Steps);
            return
            [
                .. new[] { ModelParts.Embedding, ModelParts.Blocks, ModelParts.Head }.Select(part =>
                    Weights(model, part).Zip(Weights(earlier, part), (after, before) => after - before).ToArray()),
            ];
        }

        var (full, tenth) = (Change(1), Change(0.1));
        CollectionAssert.AreEqual(full[2], tenth[2], "the head");
        for (var part = 0; part < 2; part++)
        {
            Assert.IsGreaterThan(1e-4f, full[part].Max(Math.Abs));
            for (var i = 0; i < full[part].Length; i++)
                Assert.AreEqual(0.1f * full[part][i], tenth[part][i], 1e-6f);
        }
    }

    [TestMethod]
    public void WhatCannotBe_IsNamed()
    {
        AssertRefused("Width is 32, but the model to start from has 16", options => options.Alter(a => a with { Width = 32, Heads = 2 }));
        AssertRefused("Blocks is 2, but the model to start from has 3", options => options.Alter(a => a with { Blocks = 2 }));
        AssertRefused("PatchSize is 2, but the model to start from has 4", options => options.PatchSize = 2);
        AssertRefused("Channels is 1, but the model to start from has 3", options => options.Channels = 1);
        AssertRefused("Frozen is Backbone, but neither InitialModel nor PretrainedWeights is set", options =>
            (options.InitialModel, options.Frozen) = (null, ModelParts.Backbone));
        AssertRefused("which is all of the model", options => options.Frozen = ModelParts.Backbone | ModelParts.Head);
        AssertRefused("Frozen is 8; it must be made of Embedding, Blocks and Head", options => options.Frozen = (ModelParts)8);
        AssertRefused("BackboneLearningRateScale is 0; it must be a finite number above 0", options =>
            options.BackboneLearningRateScale = 0);
        AssertRefused("no image classifier in it", options =>
            options.InitialModel = Ml.Transforms.DropColumns("Label").Fit(Colours.WithKeys(Ml, Test)));
        AssertRefused("InitialModel has 2 image classifiers in it", options =>
            options.InitialModel = new TransformerChain<ITransformer>(earlier, earlier));

        var vit = new VisionTransformerImageClassifier.Options
        {
            Architecture = VisionTransformerConfig.Tiny,
            PatchSize = 4,
            InitialModel = earlier,
        };
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() => Ml.MulticlassClassification.Trainers.VisionTransformerImageClassifier(vit))
                .Message,
            "The model to start from is a WideNet; a VisionTransformer cannot");

        var grey = Colours.Rows(20).Select(row => new GreyRow { Features = row.Features[..64], Label = row.Label }).ToList();
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => Fit(Colours.WithKeys(Ml, grey), _ => { })).Message,
            "Channels is 1, but the model to start from has 3");

        var disposed = Fit(Colours.WithKeys(Ml, Colours.Rows(20)), _ => { });
        disposed.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() =>
            Fit(Colours.WithKeys(Ml, Colours.Rows(20)), options => options.InitialModel = disposed));

        void AssertRefused(string message, Action<WideNetImageClassifier.Options> change) =>
            StringAssert.Contains(
                Assert
                    .ThrowsExactly<ArgumentException>(() => Ml.MulticlassClassification.Trainers.WideNetImageClassifier(Options(change)))
                    .Message,
                message);
    }

    [TestMethod]
    public void ClassesThatOnlyOneSideNames_AreNotTakenForTheSame()
    {
        var names = Colours.Names.Order().ToArray();
        var definition = SchemaDefinition.Create(typeof(KeyedRow));
        definition["Label"].ColumnType = new KeyDataViewType(typeof(uint), 4);
        var unnamed = Ml.Data.LoadFromEnumerable(
            Colours.Rows(40).Select(row => new KeyedRow { Features = row.Features, Label = (uint)Array.IndexOf(names, row.Label) }),
            definition);

        using var model = Fit(unnamed, _ => { }, out var messages);
        Assert.IsTrue(
            messages.Any(m => m.Contains("starts anew: only the earlier model has names for its classes", StringComparison.Ordinal)),
            string.Join('\n', messages));
        using var next = Fit(unnamed, options => options.InitialModel = model, out messages);
        Assert.IsTrue(
            messages.Any(m => m.Contains("the head goes on, with the same classes", StringComparison.Ordinal)),
            "by their keys, where neither has names");
    }

    [TestMethod]
    public void Transfer_LeavesNoTensorBehind()
    {
        long before = LiveTensors.Count();
        WideNetConfig.Tiny.Build().Dispose();
        var counted = torch.Tensor.TotalCount - before;   // TorchSharp goes on counting the tensors that parameters are made of

        var data = Colours.WithKeys(Ml, Colours.Rows(40));
        before = LiveTensors.Count();
        Fit(data, options => options.Frozen = ModelParts.Embedding).Dispose();
        Assert.AreEqual(counted, torch.Tensor.TotalCount - before);
    }

    private static WideNetImageClassifier.Options Options(Action<WideNetImageClassifier.Options> change)
    {
        var options = Colours.Options();
        (options.Epochs, options.InitialModel) = (1, earlier);
        change(options);
        return options;
    }

    private static ImageClassificationTransformer Fit(IDataView data, Action<WideNetImageClassifier.Options> change) =>
        Fit(data, change, out _);

    private static ImageClassificationTransformer Fit(IDataView data, Action<WideNetImageClassifier.Options> change, out string[] messages)
    {
        var ml = new MLContext(seed: 1);
        var log = new LogMessages(ml);
        var model = ml.MulticlassClassification.Trainers.WideNetImageClassifier(Options(change)).Fit(data);
        messages = log.All;
        return model;
    }

    private static ImageClassificationTransformer Classifier(ITransformer model) =>
        model as ImageClassificationTransformer
        ?? ((IEnumerable<ITransformer>)model)
            .SelectMany(part => part is IEnumerable<ITransformer> chain ? chain : [part])
            .OfType<ImageClassificationTransformer>()
            .Single();

    private static IDataView WithKeysByOccurrence(List<ColourRow> rows)
    {
        var data = Ml.Data.LoadFromEnumerable(rows);
        return Ml.Transforms.Conversion.MapValueToKey("Label").Fit(data).Transform(data);
    }

    // The predicted classes by name.
    private static string[] Predictions(ImageClassificationTransformer model, IDataView data)
    {
        var scored = model.Transform(data);
        return
        [
            .. Ml.Transforms.Conversion.MapKeyToValue("PredictedLabel").Fit(scored).Transform(scored).GetColumn<string>("PredictedLabel"),
        ];
    }

    private static float[] Weights(ImageClassificationTransformer model, ModelParts parts) =>
        [
            .. ModuleWeights
                .Collect(model.Model)
                .Where(pair => (model.Model.PartOf(pair.Key) & parts) != 0)
                .SelectMany(pair => pair.Value.data<float>().ToArray()),
        ];

    private static void AssertSame(ImageClassificationTransformer wanted, ImageClassificationTransformer found, ModelParts parts) =>
        CollectionAssert.AreEqual(
            Weights(wanted, parts).Select(BitConverter.SingleToInt32Bits).ToArray(),
            Weights(found, parts).Select(BitConverter.SingleToInt32Bits).ToArray(),
            $"{parts}");

    private sealed class FlatRow
    {
        [VectorType(192)]
        public float[] Features { get; set; } = [];

        public string? Label { get; set; }
    }

    private sealed class GreyRow
    {
        [VectorType(1, 8, 8)]
        public float[] Features { get; set; } = [];

        public string? Label { get; set; }
    }

    private sealed class KeyedRow
    {
        [VectorType(3, 8, 8)]
        public float[] Features { get; set; } = [];

        public uint Label { get; set; }
    }
}
