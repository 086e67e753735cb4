using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Pretraining;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Pretraining;

[TestClass]
public sealed class MoCoTests
{
    private static readonly MoCoOptions Options = new()
    {
        FirstView = ImageAugmentation.None,
        SecondView = new ImageAugmentation { FlipProbability = 1 },
        HiddenWidth = 12,
        OutputWidth = 6,
    };

    [TestMethod]
    public void TheContrastIsThatOfThePlainFormula_WithItsGradients()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        const double temperature = 0.3;
        var (q, k) = (randn([4, 3], float64).requires_grad_(true), randn([4, 3], float64).requires_grad_(true));
        MoCo.Contrast(q, k, temperature).backward();
        var (dq, dk) = (q.grad!.clone(), k.grad!.clone());
        (q.grad, k.grad) = (null, null);

        var plain = zeros([], float64);
        for (var i = 0; i < 4; i++)
        {
            var scores = Enumerable
                .Range(0, 4)
                .Select(j => (q[i] * k[j]).sum() / (q[i].square().sum().sqrt() * k[j].square().sum().sqrt()) / temperature)
                .ToArray();
            plain = plain - (2 * temperature / 4 * (scores[i] - scores.Select(score => score.exp()).Aggregate((a, b) => a + b).log()));
        }
        TensorAssert.AreClose(plain, MoCo.Contrast(q, k, temperature), 1e-12);
        plain.backward();
        TensorAssert.AreClose(q.grad!, dq, 1e-10);
        TensorAssert.AreClose(k.grad!, dk, 1e-10);
    }

    [TestMethod]
    public void EqualVectorsCostTheLogarithmOfTheBatch()
    {
        using var scope = NewDisposeScope();
        Assert.AreEqual(
            2 * 0.2 * Math.Log(8), MoCo.Contrast(ones(8, 3), ones(8, 3), 0.2).ToDouble(), 1e-6, "nothing tells the images apart");
        Assert.IsLessThan(1e-6, MoCo.Contrast(eye(8), eye(8), 0.02).ToDouble(), "each is only like itself");
    }

    [TestMethod]
    public void LossAndGradientsAreThoseOfThePlainForwardPass()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var generator = new Generator(1);
        using var classifier = MlpMixerConfig.Tiny.Build();
        using var moco = new MoCo(classifier, Options, generator);
        var p = moco.Module.named_parameters().ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter);
        using (no_grad())
        {
            foreach (var (name, value) in moco.State)   // a key encoder that differs from the query's
            {
                if (!name.Contains("norms", StringComparison.Ordinal))
                    value.add_(randn_like(value) * 0.05);
            }
        }
        var key = moco.State.ToDictionary(pair => pair.Key, pair => pair.Value.clone());
        var images_NCHW = randn(5, 3, 8, 8);
        moco.Module.train();

        moco.ComputeLoss(images_NCHW).Main.backward();
        var gradients = moco.Module.named_parameters().Select(pair => (pair.name, Gradient: pair.parameter.grad?.clone())).ToArray();
        moco.Module.zero_grad();

        using var keyClassifier = MlpMixerConfig.Tiny.Build();
        using (no_grad())
        {
            foreach (var (name, parameter) in keyClassifier.named_parameters())
                parameter.copy_(key[$"backbone.{name}"]);
        }
        var (x1, x2) = (images_NCHW, images_NCHW.flip(3));
        var q1 = Head(p, "predictor", Head(p, "encoder.projector", classifier.forward(x1).Features_ND));
        var q2 = Head(p, "predictor", Head(p, "encoder.projector", classifier.forward(x2).Features_ND));
        var (k1, k2) = (
            Head(key, "projector", keyClassifier.forward(x1).Features_ND).detach(),
            Head(key, "projector", keyClassifier.forward(x2).Features_ND).detach());
        var plain = MoCo.Contrast(q1, k2, 0.2) + MoCo.Contrast(q2, k1, 0.2);
        TensorAssert.AreClose(plain, moco.ComputeLoss(images_NCHW).Main, 1e-5);
        plain.backward();
        foreach (var (name, gradient) in gradients)
        {
            if (name.Contains(".classes.", StringComparison.Ordinal))
                Assert.IsNull(gradient, "the classifier's head takes no part");
            else
                TensorAssert.AreClose(p[name].grad!, gradient!, 1e-4, name);
        }

        static Tensor Head(Dictionary<string, Tensor> weights, string name, Tensor x)
        {
            for (var i = 0; weights.TryGetValue($"{name}.layers.{i}.weight", out var weight); i++)
            {
                x = x.matmul(weight.T);
                x = (x - x.mean([0])) / (x.var([0], unbiased: false) + 1e-5).sqrt();
                if (weights.TryGetValue($"{name}.norms.{i}.weight", out var scale))
                    x = ((x * scale) + weights[$"{name}.norms.{i}.bias"]).relu();   // all but the last
            }
            return x;
        }
    }

    [TestMethod]
    public void TheKeyEncoderStartsEqualAndFollowsWithRisingMomentum()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var generator = new Generator(1);
        using var classifier = SparseMlpConfig.Tiny.Build();
        using var moco = new MoCo(classifier, Options with { KeyMomentum = 0.9 }, generator);
        var query = moco
            .Module.named_parameters()
            .Where(pair => pair.name.StartsWith("encoder.", StringComparison.Ordinal))
            .ToDictionary(pair => pair.name["encoder.".Length..], pair => pair.parameter);
        var start = query.ToDictionary(pair => pair.Key, pair => pair.Value.clone());
        foreach (var (name, value) in start)
            TensorAssert.AreClose(value, moco.State[name], 0, name);

        using (no_grad())
        {
            foreach (var parameter in query.Values)
                parameter.add_(1);
        }
        moco.AfterUpdate(5, 10);   // halfway: 1 − 0.1 · (1 + cos(π/2)) / 2 = 0.95
        foreach (var (name, value) in start)
            TensorAssert.AreClose(value + 0.05, moco.State[name], 1e-6, name);

        Assert.AreEqual(0.9, MoCo.MomentumAt(0.9, 0, 10), 1e-12);
        Assert.AreEqual(0.95, MoCo.MomentumAt(0.9, 5, 10), 1e-12);
        Assert.AreEqual(1, MoCo.MomentumAt(0.9, 10, 10), 1e-12);
        Assert.AreEqual(1, MoCo.MomentumAt(0.9, 12, 10), 1e-12, "more updates than were expected");
    }

    [TestMethod]
    [DataRow("vit-tiny")]
    [DataRow("widenet-tiny")]
    [DataRow("mixer-tiny")]
    [DataRow("sparse-mlp-tiny")]
    public void TheLoopTrainsAnyEncoderAndLeavesNoTensorBehind(string preset)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var generator = new Generator(1);
        using var classifier = ImageClassifierPresets.All.Single(candidate => candidate.Name == preset).Config.Build();
        var images_NCHW = randn(16, 3, 8, 8);
        var head = classifier.named_parameters().Single(pair => pair.name == "classes.weight").parameter.clone();
        GC.Collect();   // what other tests have left to the finalizer must not go in between
        GC.WaitForPendingFinalizers();
        long before = 0, after = 0;
        TrainingResult result;
        using (var moco = new MoCo(classifier, Options, generator))
        {
            var loop = new TrainingLoop<int>(
                moco.Module,
                _ => moco.ComputeLoss(images_NCHW),
                new TrainingOptions
                {
                    Epochs = 4,
                    LearningRate = 3e-3,
                    ProgressInterval = 1000,
                }
            )
            {
                Companions = [moco],
            };
            result = loop.Run(new Training.NumberedBatches(15), progress: report =>
            {
                before = before == 0 ? Tensor.TotalCount : before;
                after = Tensor.TotalCount;
            });
        }

        Assert.AreEqual(before, after, "from the first epoch's end to the last's");
        Assert.IsLessThan(0.7 * result.Epochs[0].Averages.Loss, result.Epochs[^1].Averages.Loss, "the images are told apart");
        TensorAssert.AreClose(head, classifier.named_parameters().Single(pair => pair.name == "classes.weight").parameter, 0);
        Assert.IsTrue(classifier.forward(images_NCHW).Features_ND.isfinite().all().ToBoolean(), "the classifier outlives its pre-training");
    }

    [TestMethod]
    public void AFrozenPatchEmbeddingStaysAndCanBeTrainedAfterwards()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        using var generator = new Generator(1);
        using var classifier = SparseMlpConfig.Tiny.Build();
        var embedding = classifier
            .named_parameters()
            .Where(pair => pair.name.StartsWith("patches.", StringComparison.Ordinal))
            .Select(pair => pair.parameter)
            .ToArray();
        Assert.HasCount(2, embedding);
        var start = embedding[0].clone();
        using (var moco = new MoCo(classifier, Options with { FreezePatchEmbedding = true }, generator))
        {
            var images_NCHW = randn(8, 3, 8, 8);
            new TrainingLoop<int>(moco.Module, _ => moco.ComputeLoss(images_NCHW), new TrainingOptions { Epochs = 1 })
            {
                Companions = [moco],
            }.Run(new Training.NumberedBatches(3));
            TensorAssert.AreClose(start, embedding[0], 0);
        }
        Assert.IsTrue(embedding.All(parameter => parameter.requires_grad));
    }

    [TestMethod]
    public void ABatchOfOneAndBadOptionsAreRefused()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var classifier = MlpMixerConfig.Tiny.Build();
        using var moco = new MoCo(classifier, Options, generator);
        Assert.Contains(
            "The batch has 1 image; at least 2",
            Assert.ThrowsExactly<ArgumentException>(() => moco.ComputeLoss(zeros(1, 3, 8, 8))).Message);
        foreach (
            var (options, message) in new[]
            {
                (Options with { Temperature = 0 }, "Temperature is 0"),
                (Options with { KeyMomentum = 1 }, "KeyMomentum is 1"),
                (Options with { HiddenWidth = 0 }, "HiddenWidth is 0"),
                (Options with { OutputWidth = 0 }, "OutputWidth is 0"),
                (Options with { FirstView = new ImageAugmentation { FlipProbability = 2 } }, "FlipProbability is 2"),
            }
        )
        {
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => new MoCo(classifier, options, generator)).Message);
        }
    }
}
