using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Classification;

/// <summary>Image classifiers whose tokens come from convolutions, through all that an estimator does with them.</summary>
[TestClass]
public sealed class StemTests
{
    private readonly MLContext ml = new(seed: 1);

    public static IEnumerable<string> Architectures => [.. Colours.Architectures, "VisionTransformer"];

    [TestMethod]
    [DynamicData(nameof(Architectures))]
    public void ATrainedModelIsSavedAndLoaded_WithTheMeansOfItsNormalisation(string architecture)
    {
        var options = Options(architecture);
        (options.Epochs, options.EmaDecay) = (6, 0.9);
        var train = ml.Data.LoadFromEnumerable(Colours.Rows(120));
        var model = Colours.Pipeline(ml, options).Fit(train);
        var test = ml.Data.LoadFromEnumerable(Colours.Rows(60, seed: 2));
        using var file = new MemoryStream();
        ml.Model.Save(model, train.Schema, file);
        file.Position = 0;
        var loaded = ml.Model.Load(file, out _);

        var scores = Scores(model.Transform(test));
        CollectionAssert.AreEqual(scores.SelectMany(row => row).ToArray(), Scores(loaded.Transform(test)).SelectMany(row => row).ToArray());
        var classifier = model.OfType<ImageClassificationTransformer>().Single();
        Assert.IsTrue(
            ModuleWeights.Collect(classifier.Model).Any(pair =>
                pair.Key.EndsWith("runningMean", StringComparison.Ordinal) && pair.Value.count_nonzero().item<long>() > 0));
        var keyed = Colours.WithKeys(ml, Colours.Rows(60, seed: 2));
        Assert.IsGreaterThan(0.9, ml.MulticlassClassification.Evaluate(classifier.Transform(keyed)).MicroAccuracy);
        // The means are those of the training, so that a row scores alike alone and among others.
        var alone = Scores(model.Transform(ml.Data.TakeRows(test, 1))).Single();
        foreach (var (wanted, found) in scores[0].Zip(alone))
            Assert.AreEqual(wanted, found, 1e-5);
    }

    [TestMethod]
    public void AContinuedTrainingIsTheSame_ToTheBit()
    {
        var folder = Directory.CreateTempSubdirectory("moe-ml-");
        try
        {
            var options = Options("WideNet");
            (options.Epochs, options.EmaDecay) = (2, 0.9);
            using var whole = Fit(options);

            using var source = new CancellationTokenSource();
            (options.Checkpoints, options.CancellationToken) = (new(folder.FullName), source.Token);
            options.ProgressInterval = 1;
            options.Progress = progress => Cancel(progress.Step == 5);
            Assert.Throws<OperationCanceledException>(() => Fit(options));
            options.CancellationToken = default;
            options.Progress = null;
            options.Checkpoints = options.Checkpoints! with { Resume = true };
            using var continued = Fit(options);
            CollectionAssert.AreEqual(Weights(whole, _ => true), Weights(continued, _ => true));

            void Cancel(bool now)
            {
                if (now)
                    source.Cancel();
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [TestMethod]
    public void AFrozenStemStaysBitForBit_ItsRunningMeansToo()
    {
        var options = Options("WideNet");
        options.Epochs = 1;
        using var earlier = Fit(options);
        (options.InitialModel, options.Frozen) = (earlier, ModelParts.Embedding);
        using var later = Fit(options, seed: 9);

        bool OfTheStem(string name) => name.StartsWith("patches.", StringComparison.Ordinal);
        var before = Weights(earlier, OfTheStem);
        CollectionAssert.AreEqual(before, Weights(later, OfTheStem));
        CollectionAssert.AreNotEqual(Weights(earlier, name => !OfTheStem(name)), Weights(later, name => !OfTheStem(name)));
        options.Frozen = ModelParts.None;
        using var thawed = Fit(options, seed: 9);
        CollectionAssert.AreNotEqual(before, Weights(thawed, OfTheStem));
    }

    [TestMethod]
    public void AnotherStem_OrNone_DoesNotTakeTheWeights()
    {
        var options = Options("WideNet");
        options.Epochs = 1;
        using var earlier = Fit(options);
        var wideNet = (WideNetImageClassifier.Options)options;
        wideNet.InitialModel = earlier;
        wideNet.Architecture = wideNet.Architecture! with { Stem = null };
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => Fit(options)).Message, "Stem is null");
        wideNet.Architecture = wideNet.Architecture with { Stem = new() { FirstChannels = 3 } };
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => Fit(options)).Message, "Stem is {\"FirstChannels\":3");
    }

    [TestMethod]
    public void PretrainingAndLayerDecayTakeAStem()
    {
        var options = Options("SparseMlp");
        (options.Epochs, options.LayerDecay) = (1, 0.5);
        options.Pretraining = new MoCoPretraining { Epochs = 1, BatchSize = 32, FreezePatchEmbedding = true };
        using var model = Fit(options);
        options.Pretraining.FreezePatchEmbedding = false;
        using var thawed = Fit(options);
        CollectionAssert.AreNotEqual(Weights(model, _ => true), Weights(thawed, _ => true));
    }

    [TestMethod]
    public void ImagesOfAnySizeGetTokens_AndAStemThatIsTooLargeIsRefused()
    {
        var options = Options("WideNet");
        (options.Epochs, options.PatchSize) = (1, 8);
        var pictures = Colours.WithKeys(ml, Colours.Pictures(30));   // 10 wide and 12 high
        (options.ImageHeight, options.ImageWidth) = (12, 10);
        using var model = Colours.Trainer(ml, options).Fit(pictures);
        Assert.AreEqual(4, model.Model.Config.ImageHeight / 6 * (model.Model.Config.ImageWidth / 5));
        options.PatchSize = 16;
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => Colours.Trainer(ml, options)).Message, "would shrink it to less than a token");
        options.PatchSize = null;
        using var chosen = Colours.Trainer(ml, options).Fit(pictures);
        Assert.AreEqual(1, chosen.Model.Config.PatchSize);
    }

    private static ImageClassificationOptions Options(string architecture)
    {
        if (architecture == "VisionTransformer")
        {
            var vit = Colours.VisionTransformerOptions();
            vit.Architecture = vit.Architecture! with { Stem = new() { Halving = StemHalving.Stride }, Pooling = Pooling.Attention };
            return vit;
        }
        var options = Colours.OptionsOf(architecture);
        if (options is WideNetImageClassifier.Options wideNet)
            wideNet.Architecture = wideNet.Architecture! with { Stem = new(), Pooling = Pooling.Attention };
        else if (options is SparseMlpTrainer.Options sparse)
            sparse.Architecture = sparse.Architecture! with { Stem = new(), Pooling = Pooling.Attention };
        return options;
    }

    private ImageClassificationTransformer Fit(ImageClassificationOptions options, int seed = 1) =>
        Colours.Trainer(ml, options).Fit(Colours.WithKeys(ml, Colours.Rows(120, seed)));

    private static float[] Weights(ImageClassificationTransformer model, Func<string, bool> which) =>
        [
            .. ModuleWeights.Collect(model.Model)
                .Where(pair => which(pair.Key))
                .SelectMany(pair => pair.Value.data<float>().ToArray()),
        ];

    private static float[][] Scores(IDataView scored) => [.. scored.GetColumn<float[]>("Score")];
}
