using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>Learning rates that fall from the output to the input, and the choice of the optimizer.</summary>
[TestClass]
public sealed class LayerDecayTests
{
    private static readonly TrainingOptions Options = new()
    {
        Epochs = 1,
        LearningRate = 0.01,
        FinalLearningRate = 0.01,
        WarmupSteps = 0,
        WeightDecay = 0,
        GradientClipNorm = null,
    };

    private static readonly VisionTransformerConfig VitMoe = new()
    {
        ImageHeight = 8,
        ImageWidth = 8,
        PatchSize = 4,
        Channels = 1,
        ClassCount = 3,
        Width = 8,
        Heads = 2,
        Blocks = 3,
        FeedForwardWidth = 16,
        ClassToken = ClassToken.Learned,
        Pooling = Pooling.ClassToken,
        Representation = true,
        MixtureBlocks = 1,
        Experts = 2,
        ExpertsPerToken = 1,
        ExpertWidth = 16,
    };

    private static readonly WideNetConfig Wide = new()
    {
        ImageHeight = 8,
        ImageWidth = 8,
        PatchSize = 4,
        Channels = 1,
        ClassCount = 3,
        Width = 8,
        Heads = 2,
        Blocks = 3,
        Experts = 2,
        ExpertsPerToken = 1,
        ExpertWidth = 16,
    };

    [TestMethod]
    public void BlocksOfAVisionTransformerAreOneLayerEach()
    {
        using var scope = NewDisposeScope();
        using var model = new VisionTransformer(VitMoe);

        Assert.AreEqual(4, model.LastLayer);
        foreach (var (name, _) in model.named_parameters())
        {
            var path = name.Split('.');
            var expected = path[0] switch
            {
                "patches" or "positions" or "classToken" => 0,
                "finalNorm" or "representation" or "classes" => 4,
                "mixtures" => 3,   // the last of three blocks
                _ => path[1][0] - '0' + 1,
            };
            CollectionAssert.AreEqual(new[] { expected }, model.LayersOf(name).ToArray(), name);
        }
        CollectionAssert.IsSubsetOf(
            new[]
            {
                "patches",
                "positions",
                "classToken",
                "finalNorm",
                "representation",
                "classes",
                "attentionNorms",
                "attentions",
                "feedForwardNorms",
                "feedForwards",
                "mixtures",
            },
            model.named_parameters().Select(pair => pair.name.Split('.')[0]).Distinct().ToArray());
    }

    [TestMethod]
    [DataRow(true, false)]
    [DataRow(true, true)]
    [DataRow(false, false)]
    public void SharedModulesOfWideNetAreInAllItsBlocks(bool shareParameters, bool shareLayerNorms)
    {
        using var scope = NewDisposeScope();
        using var model = new WideNet(Wide with { ShareParameters = shareParameters, ShareLayerNorms = shareLayerNorms });
        int[] all = [1, 2, 3];

        CollectionAssert.AreEqual(new[] { 0 }, model.LayersOf("positions").ToArray());
        CollectionAssert.AreEqual(new[] { 4 }, model.LayersOf("classes.weight").ToArray());
        foreach (
            var (name, _) in model
                .named_parameters()
                .Where(pair => pair.name.Contains("s.", StringComparison.Ordinal) && char.IsDigit(pair.name.Split('.')[1][0])))
        {
            var path = name.Split('.');
            var shared = path[0].EndsWith("Norms", StringComparison.Ordinal) ? shareLayerNorms : shareParameters;
            CollectionAssert.AreEqual(shared ? all : [path[1][0] - '0' + 1], model.LayersOf(name).ToArray(), name);
        }
    }

    [TestMethod]
    public void TheRateFallsWithTheDistanceFromTheOutputAndSharedModulesGetTheMean()
    {
        using var scope = NewDisposeScope();
        using var model = new WideNet(Wide);
        string[] names =
        [
            "positions",
            "attentionNorms.0.weight",
            "attentionNorms.1.weight",
            "attentionNorms.2.weight",
            "finalNorm.weight",
            "classes.weight",
            "attentions.0.output.weight",
        ];
        var before = model.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter.clone());

        // The gradient is 1 everywhere, so that Adam's first step moves each weight by its learning rate.
        new TrainingLoop<int>(
            model,
            _ => new(model.parameters().Select(parameter => parameter.sum()).Aggregate((sum, next) => sum + next), zeros([]), 1),
            Options.With(o => o.LayerDecay = 0.5)
        ).Run(new NumberedBatches(1));

        double[] scales = [0.0625, 0.125, 0.25, 0.5, 1, 1, (0.125 + 0.25 + 0.5) / 3];
        var after = model.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter);
        for (int i = 0; i < names.Length; i++)
            TensorAssert.AreClose(full_like(before[names[i]], 0.01 * scales[i]), before[names[i]] - after[names[i]], 1e-6, names[i]);
    }

    [TestMethod]
    public void AModuleThatDoesNotTellItsLayersIsRefused()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();

        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() =>
                    new TrainingLoop<int>(model, _ => model.SquaredValue(), Options.With(o => o.LayerDecay = 0.5)))
                .Message,
            "LayerDecay is 0.5, but ScalarModule");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => (Options.With(o => o.LayerDecay = 0)).Validate()).Message, "LayerDecay is 0");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => (Options.With(o => o.LayerDecay = 1.5)).Validate()).Message, "LayerDecay is 1.5");
    }

    [TestMethod]
    [DataRow(OptimizerKind.AdamW, 0.9, false, 3 - 0.2)]
    [DataRow(OptimizerKind.Lamb, 0.9, false, 3 * 0.9 * 0.9)]
    [DataRow(OptimizerKind.Sgd, 0, false, 3 - 0.4 - 0.4)]
    [DataRow(OptimizerKind.Sgd, 0.5, false, 3 - 0.4 - 0.6)]
    [DataRow(OptimizerKind.Sgd, 0.5, true, 3 - 0.6 - 0.7)]
    public void TheOptimizerIsTheOneThatWasChosen(OptimizerKind optimizer, double momentum, bool nesterov, double expected)
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(1, 1, hasBias: false);
        using (no_grad())
            model.weight.fill_(3);

        var options = Options.With(o =>
            (o.Optimizer, o.LearningRate, o.FinalLearningRate, o.Momentum, o.Nesterov) = (optimizer, 0.1, 0.1, momentum, nesterov));
        // The gradient is 4.
        new TrainingLoop<int>(model, _ => new(model.weight.sum() * 4, zeros([]), 1), options).Run(new NumberedBatches(2));

        Assert.AreEqual(expected, model.weight.item<float>(), 1e-5);
    }
}
