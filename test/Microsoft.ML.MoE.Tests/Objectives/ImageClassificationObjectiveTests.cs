using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Objectives;

[TestClass]
public sealed class ImageClassificationObjectiveTests
{
    [TestMethod]
    [DataRow(0.0)]
    [DataRow(0.1)]
    public void MainLossIsTheCrossEntropyWithSmoothedLabels(double smoothing)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var model = Build(seed: 3);
        model.eval();   // without router noise the same forward can be repeated
        var images = rand(6, 3, 8, 8);
        long[] labels = [0, 3, 1, 1, 2, 0];
        using var batch = new ImageBatch(images, tensor(labels));

        var loss = new ImageClassificationObjective(model, ImageAugmentation.None, smoothing, generator).ComputeLoss(batch);

        var output = model.call(images);
        double expected = 0;
        for (int n = 0; n < 6; n++)
        {
            var logits = output.Logits_NC[n].data<float>().ToArray().Select(x => (double)x).ToArray();
            double logSum = Math.Log(logits.Sum(Math.Exp));
            for (int c = 0; c < 4; c++)
                expected -= ((c == labels[n] ? 1 - smoothing : 0) + (smoothing / 4)) * (logits[c] - logSum) / 6;
        }
        Assert.AreEqual(expected, loss.Main.item<float>(), 1e-5);
        Assert.AreEqual(output.AuxiliaryLoss.item<float>(), loss.Auxiliary.item<float>(), 1e-6);
        Assert.IsTrue(loss.Auxiliary.item<float>() > 0);
        Assert.AreEqual(6, loss.Samples);
    }

    [TestMethod]
    [DataRow(0.0)]
    [DataRow(0.1)]
    public void WithMixingTheLossIsTheCrossEntropyWithSmoothedMixtures(double smoothing)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(1), same = new(1);
        using var model = Build(seed: 3);
        model.eval();   // without router noise the same forward can be repeated
        using var batch = new ImageBatch(rand(6, 3, 8, 8), tensor(new long[] { 0, 3, 1, 1, 2, 0 }));
        var mixing = new ImageMixing { MixupAlpha = 0.8, CutMixAlpha = 1 };

        var loss = new ImageClassificationObjective(model, ImageAugmentation.None, smoothing, generator, mixing).ComputeLoss(batch);

        var (images_NCHW, targets_NC) = mixing.Apply(batch.Images_NCHW, batch.Labels_N, 4, same);
        var output = model.call(images_NCHW);
        var wanted_NC = (targets_NC * (1 - smoothing)) + (smoothing / 4);
        Assert.AreEqual(-(wanted_NC * output.Logits_NC.log_softmax(1)).sum().item<float>() / 6, loss.Main.item<float>(), 1e-5);
        Assert.AreEqual(output.AuxiliaryLoss.item<float>(), loss.Auxiliary.item<float>(), 1e-6);
        TensorAssert.AreEqual([0, 3, 1, 1, 2, 0], batch.Labels_N);
    }

    [TestMethod]
    [DataRow(0.0, false)]
    [DataRow(0.1, false)]
    [DataRow(0.1, true)]
    public void ALossWithWeightsIsTheMeanOfTheWeightedLossesOfTheImages(double smoothing, bool mixed)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(1), same = new(1);
        using var model = Build(seed: 3);
        model.eval();   // without router noise the same forward can be repeated
        float[] weights = [0, 2, 0.5f, 1, 3, 1];
        using var batch = new ImageBatch(rand(6, 3, 8, 8), tensor(new long[] { 0, 3, 1, 1, 2, 0 }), weights_N: tensor(weights));
        var mixing = mixed ? new ImageMixing { MixupAlpha = 0.8, CutMixAlpha = 1 } : ImageMixing.None;

        var main = new ImageClassificationObjective(model, ImageAugmentation.None, smoothing, generator, mixing).ComputeLoss(batch).Main;
        main.backward();
        var found = model.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter.grad!.clone());
        model.zero_grad();

        // Image by image, each mixed of two with targets of their own.
        var (images_NCHW, targets_NC) = mixing.Apply(batch.Images_NCHW, batch.Labels_N, 4, same);
        if (mixed)
        {
            using Generator again = new(1);
            var ids = tensor(new long[] { 0, 1, 2, 3, 4, 5 });   // who is mixed with whom, told by classes of their own
            targets_NC = mixing.Apply(batch.Images_NCHW, ids, 6, again).Targets_NC
                .matmul(nn.functional.one_hot(batch.Labels_N, 4).to(float32) * tensor(weights).unsqueeze(1));
        }
        else
        {
            targets_NC = targets_NC * tensor(weights).unsqueeze(1);
        }
        var logs_NC = model.call(images_NCHW).Logits_NC.log_softmax(1);
        var expected = zeros([]);
        for (var n = 0; n < 6; n++)
        {
            for (var c = 0; c < 4; c++)
                expected = expected - ((targets_NC[n, c] * (1 - smoothing)) + (targets_NC[n].sum() * smoothing / 4)) * logs_NC[n, c] / 6;
        }
        Assert.AreEqual(expected.item<float>(), main.item<float>(), 1e-5);
        expected.backward();
        foreach (var (name, parameter) in model.named_parameters())
            TensorAssert.AreClose(parameter.grad!, found[name], 1e-5, name);
    }

    [TestMethod]
    public void ExpertLoadCountsEveryChoiceOfEveryRoutedLayer()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var model = Build(seed: 3);
        using var dense = new VisionTransformerConfig
        {
            ImageHeight = 8,
            ImageWidth = 8,
            PatchSize = 4,
            ClassCount = 4,
            Width = 16,
            Heads = 2,
            Blocks = 2,
            Experts = 0,
        }.Build();
        using var batch = new ImageBatch(rand(6, 3, 8, 8), zeros(6, int64));

        var counts = new ImageClassificationObjective(model, ImageAugmentation.None, 0, generator).ComputeLoss(batch).ExpertCounts_E!;

        Assert.HasCount(3, counts);
        foreach (var counts_E in counts)
        {
            Assert.AreEqual(4, counts_E.numel());
            Assert.AreEqual(48, counts_E.sum().item<long>(), "6 images · 4 patches · 2 experts");
        }
        Assert.IsNull(new ImageClassificationObjective(dense, ImageAugmentation.None, 0, generator).ComputeLoss(batch).ExpertCounts_E);
    }

    [TestMethod]
    public void ChoicesBeyondTheCapacityAreCountedAsDropped()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        random.manual_seed(3);
        using var model = (WideNetConfig.Tiny with { TrainingCapacity = new ExpertCapacity(1) }).Build();
        using var batch = new ImageBatch(rand(6, 3, 8, 8), zeros(6, int64));

        var loss = new ImageClassificationObjective(model, ImageAugmentation.None, 0, generator).ComputeLoss(batch);

        var expected_B = (stack(loss.ExpertCounts_E!) - 12).clamp(min: 0).sum(1);   // floor(1 · 2 · 24/4) places an expert
        CollectionAssert.AreEqual(expected_B.data<long>().ToArray(), loss.DroppedCounts_B!.data<long>().ToArray());
        Assert.IsGreaterThan(0, expected_B.sum().item<long>());
    }

    [TestMethod]
    public void TrainingImagesAreAugmentedAndEvaluatedImagesAreNot()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var model = Build(seed: 3);
        model.eval();
        var images = rand(6, 3, 8, 8);
        var labels = tensor(new long[] { 0, 3, 1, 1, 2, 0 });
        var mirror = new ImageClassificationObjective(model, new ImageAugmentation { FlipProbability = 1 }, 0, generator);
        var plain = new ImageClassificationObjective(model, ImageAugmentation.None, 0, generator);

        using ImageBatch batch = new(images.clone(), labels.clone()), mirrored = new(images.flip(3), labels.clone());
        Assert.AreEqual(plain.ComputeLoss(mirrored).Main.item<float>(), mirror.ComputeLoss(batch).Main.item<float>(), 1e-6);
        Assert.AreEqual(plain.ComputeLoss(batch).Main.item<float>(), mirror.Evaluate([new(images.clone(), labels.clone())]).Loss, 1e-5);
    }

    [TestMethod]
    public void EvaluationAveragesTheViews()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var model = Build(seed: 3);
        var images = randn(7, 3, 8, 8);
        var labels = tensor(new long[] { 0, 3, 1, 1, 2, 0, 1 });
        var objective = new ImageClassificationObjective(model, ImageAugmentation.None, 0, generator, views: ScoringViews.Mirrored);

        var result = objective.Evaluate([new(images.clone(), labels.clone())]);

        model.eval();
        var logits = (model.call(images).Logits_NC + model.call(images.flip(3)).Logits_NC) / 2;
        Assert.AreEqual(nn.functional.cross_entropy(logits, labels).item<float>(), result.Loss, 1e-5);
        Assert.AreEqual(logits.argmax(1).eq(labels).sum().item<long>() / 7.0, result.Metric, 1e-12);
    }

    [TestMethod]
    public void EvaluationIsOverAllImagesWhateverTheBatches()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var model = Build(seed: 3);
        var images = randn(7, 3, 8, 8);
        var labels = tensor(new long[] { 0, 3, 1, 1, 2, 0, 1 });
        var objective = new ImageClassificationObjective(model, new ImageAugmentation { CropPadding = 4 }, 0.2, generator);
        var batches = new[] { 0..3, 3..6, 6..7 }.Select(range => new ImageBatch(images[range], labels[range])).ToArray();

        var result = objective.Evaluate(batches);

        Assert.IsTrue(model.training);
        Assert.IsTrue(batches.All(batch => batch.Images_NCHW.IsInvalid && batch.Labels_N.IsInvalid));
        model.eval();
        var logits = model.call(images).Logits_NC;
        var probabilities = logits.softmax(1);
        double logLoss = 0;
        int correct = 0;
        for (int n = 0; n < 7; n++)
        {
            int label = (int)labels[n].item<long>();
            logLoss -= Math.Log(probabilities[n, label].item<float>()) / 7;
            correct += probabilities[n].argmax().item<long>() == label ? 1 : 0;
        }
        Assert.AreEqual(correct / 7.0, result.Metric, 1e-12);
        Assert.AreEqual(logLoss, result.Loss, 1e-5);
        Assert.AreEqual("Accuracy", result.MetricName);
        Assert.IsTrue(result.HigherIsBetter);
        Assert.IsFalse(objective.Evaluate([new(images, labels)]).Loss == 0 || model.training);
    }

    [TestMethod]
    public void EvaluationStopsWhenCancelledAndNamesAnEmptySet()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var model = Build(seed: 3);
        var objective = new ImageClassificationObjective(model, ImageAugmentation.None, 0, generator);
        var batch = new ImageBatch(rand(1, 3, 8, 8), zeros(1, int64));

        Assert.ThrowsExactly<OperationCanceledException>(() => objective.Evaluate([batch], new CancellationToken(canceled: true)));
        Assert.IsTrue(batch.Images_NCHW.IsInvalid && model.training);
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => objective.Evaluate([])).Message, "validation data has no rows");
    }

    [TestMethod]
    public void ASmallWideNetLearnsToTellPatternsApart()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var model = Build(seed: 3);
        var objective = new ImageClassificationObjective(model, new ImageAugmentation { FlipProbability = 0.5 }, 0.1, generator);
        var loop = new TrainingLoop<ImageBatch>(model, objective.ComputeLoss, new TrainingOptions { Epochs = 6, LearningRate = 1e-2 });
        long before = LiveTensors.Count();
        TrainingProgress? last = null;

        var result = loop.Run(
            new PrefetchingBatchSource<ImageBatch>(new Patterns(batches: 12)),
            token => objective.Evaluate(new Patterns(batches: 4).ReadEpoch(1000, token), token),
            report => last = report);

        Assert.IsTrue(result.BestEpoch!.Validation!.Metric > 0.95, $"accuracy {result.BestEpoch.Validation.Metric}");
        Assert.AreEqual(3, last!.ExpertLoad!.Count);
        Assert.IsTrue(last.ExpertLoad.All(layer => layer.Counts.Count == 4 && layer.Total == 12 * 32 * 4 * 2));
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var model = Build(seed: 3);

        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() => new ImageClassificationObjective(model, ImageAugmentation.None, 1, generator))
                .Message,
            "labelSmoothing is 1");
        Assert.Contains(
            "MixupAlpha is -1",
            Assert
                .ThrowsExactly<ArgumentException>(() =>
                    new ImageClassificationObjective(model, ImageAugmentation.None, 0, generator, new ImageMixing { MixupAlpha = -1 }))
                .Message);
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new ImageBatch(zeros(2, 3, 4), zeros(2, int64))).Message, "(2, 3, 4)");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new ImageBatch(zeros(2, 3, 4, 4), zeros(3, int64))).Message, "(3)");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new ImageBatch(zeros(2, 3, 4, 4), zeros(2))).Message, "Float32");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new ImageBatch(zeros(2, 3, 4, 4), zeros(2, int64), zeros(2))).Message,
            "'mirrored_N' is Float32 (2); Bool (2) is wanted");
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() => new ImageBatch(zeros(2, 3, 4, 4), zeros(2, int64), weights_N: zeros(3)))
                .Message,
            "'weights_N' is Float32 (3); Float32 (2) is wanted");
    }

    private static ImageClassifier Build(long seed)
    {
        random.manual_seed(seed);
        var model = WideNetConfig.Tiny.Build();
        using var _ = no_grad();
        foreach (var (name, parameter) in model.named_parameters())
        {
            if (name.StartsWith("classes", StringComparison.Ordinal))
                parameter.normal_(0, 0.3);   // it starts at 0, where all classes are equal
        }
        return model;
    }

    /// <summary>8×8 noise on horizontal stripes, vertical stripes, a chessboard or nothing: four classes.</summary>
    private sealed class Patterns(int batches) : IBatchSource<ImageBatch>
    {
        public int? BatchesPerEpoch => batches;

        public IEnumerable<ImageBatch> ReadEpoch(int epoch, CancellationToken cancellationToken)
        {
            using var generator = new Generator((ulong)epoch);
            for (int i = 0; i < batches; i++)
            {
                using var scope = NewDisposeScope();
                var labels = randint(0, 4, [32], int64, generator: generator);
                var (row_H1, column_W) = (arange(8).unsqueeze(1), arange(8));
                var patterns_CHW = stack([row_H1 + (0 * column_W), (0 * row_H1) + column_W, row_H1 + column_W, zeros([8, 8], int64)])
                    .remainder(2);
                var images = patterns_CHW[labels].unsqueeze(1) + (0.3 * randn([32, 3, 8, 8], generator: generator));
                yield return new ImageBatch(images, labels);
            }
        }
    }
}
