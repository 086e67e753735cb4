using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>Steps on a CUDA device move the weights as those on the CPU do.</summary>
[TestClass]
[RequiresCuda]
[TestCategory("Cuda")]
public sealed class TrainingStepCudaTests
{
    private static readonly Device Other = CUDA;

    public static IEnumerable<string> SmallLanguageModels =>
        LanguageModelPresets.All.Where(preset => preset.Config.GetCost().Parameters < 1_000_000).Select(preset => preset.Name);

    [TestMethod]
    [DataRow(OptimizerKind.AdamW)]
    [DataRow(OptimizerKind.Lamb)]
    [DataRow(OptimizerKind.Sgd)]
    [DataRow(OptimizerKind.Muon)]
    public void OfAnImageClassifier(OptimizerKind kind)
    {
        var config = WideNetConfig.Thumbnail with { RouterNoise = 0, Dropout = 0 };
        using var seed = new SeedScope(1, CPU);
        using var scope = NewDisposeScope();
        using var onCpu = config.Build();
        using var elsewhere = config.Build(Other);
        var (images_NCHW, labels_N) = (randn(8, 1, 28, 28), randint(10, [8], ScalarType.Int64));
        AssertSameSteps(
            onCpu,
            elsewhere,
            kind,
            model =>
            {
                var device = model.parameters().First().device;
                var output = ((ImageClassifier)model).forward(images_NCHW.to(device));
                return nn.functional.cross_entropy(output.Logits_NC, labels_N.to(device)) + output.AuxiliaryLoss;
            });
    }

    [TestMethod]
    [DynamicData(nameof(SmallLanguageModels))]
    public void OfALanguageModel(string preset)
    {
        var config = LanguageModelPresets.All.Single(each => each.Name == preset).Config;
        using var seed = new SeedScope(1, CPU);
        using var scope = NewDisposeScope();
        using var onCpu = config.Build();
        using var elsewhere = config.Build(Other);
        var ids_NL = randint(config.VocabularySize, [3, 12], ScalarType.Int64);
        AssertSameSteps(
            onCpu,
            elsewhere,
            OptimizerKind.AdamW,
            model =>
            {
                var device = model.parameters().First().device;
                var output = ((LanguageModel)model).forward(ids_NL.to(device));
                return nn.functional.cross_entropy(output.Logits_NLV.flatten(0, 1), ids_NL.to(device).flatten()) + output.AuxiliaryLoss;
            });
    }

    private static void AssertSameSteps(nn.Module onCpu, nn.Module elsewhere, OptimizerKind kind, Func<nn.Module, Tensor> loss)
    {
        elsewhere.load_state_dict(onCpu.state_dict());
        var (expected, actual) = (Steps(onCpu, kind, loss), Steps(elsewhere, kind, loss));
        Assert.AreEqual(Other.type, elsewhere.parameters().First().device_type);
        for (var step = 0; step < expected.Length; step++)
            Assert.AreEqual(expected[step], actual[step], 1e-3 * Math.Max(1, Math.Abs(expected[step])), $"the loss of step {step}");
    }

    // The loss of a later step tells what the earlier ones did to all weights together.
    private static double[] Steps(nn.Module model, OptimizerKind kind, Func<nn.Module, Tensor> loss)
    {
        var options = new TrainingOptions
        {
            Optimizer = kind,
            LearningRate = 1e-3,
            WeightDecay = 0.01,
            MuonLearningRate = 1e-2,
            Precision = Precision.Float32,
        };
        using var optimizer = TrainingOptimizer.Create(model, options, _ => 1);
        model.train();
        var losses = new double[4];
        for (var step = 0; step < losses.Length; step++)
        {
            using var scope = NewDisposeScope();
            var value = loss(model);
            value.backward();
            optimizer.Step(options.LearningRate!.Value);
            optimizer.ZeroGrad();
            losses[step] = value.ReadDouble();
        }

        Assert.IsLessThan(losses[0], losses[^1], "the steps make the loss smaller");
        return losses;
    }
}
