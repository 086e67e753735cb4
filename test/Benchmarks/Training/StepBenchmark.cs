// Axes: N = images of a batch, C = channels or classes, H = height, W = width.

using Benchmarks.Frozen;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Training;

/// <summary>
/// A training step of a small model on 64 images against one in libtorch's operators: of the same model, or of a dense one of the same
/// width and depth and as many active multiply-adds.
/// </summary>
internal sealed class StepBenchmark : IBenchmark
{
    private const int Images = 64;
    private const double LearningRate = 1e-3;
    private const double Tolerance = 1e-3;

    private readonly ModelStep ours;
    private readonly ModelStep same;   // what the baseline computes, by the library
    private readonly TorchStep baseline;
    private readonly Tensor images_NCHW;
    private readonly Tensor labels_N;

    /// <param name="measured">The model that is measured.</param>
    /// <param name="compared">What it is compared with, for the same images.</param>
    /// <param name="freeze">Makes the latter in libtorch's operators, with the weights of the library's.</param>
    public StepBenchmark(ImageClassifierConfig measured, ImageClassifierConfig compared, Func<ImageClassifier, ITorchClassifier> freeze)
    {
        using var seed = new SeedScope(1, CPU);
        var options = new TrainingOptions().Settled();
        ours = new ModelStep(measured.Build(), options);
        same = new ModelStep(compared.Build(), options);
        using (no_grad())
        {
            // It starts with zeros, and no gradient would reach what lies before it.
            _ = nn.init.normal_(same.Model.named_parameters().Single(pair => pair.name == "classes.weight").parameter, 0, 0.1);
        }

        baseline = new TorchStep(freeze(same.Model), options);
        images_NCHW = randn(Images, measured.Channels, measured.ImageHeight, measured.ImageWidth);
        labels_N = arange(Images, ScalarType.Int64).remainder(measured.ClassCount);
    }

    /// <summary>Forward, and twice as much backward; weights and activations of so small a model stay in the caches.</summary>
    public BenchmarkWork? Work => new(3.0 * Images * ours.Model.Config.GetCost().ForwardMacs);

    public void Ours() => Run(() => ours.Run(images_NCHW, labels_N, LearningRate));

    public void Baseline() => Run(() => baseline.Run(images_NCHW, labels_N, LearningRate));

    /// <summary>
    /// Both sides must take the same work and learn, and the baseline must be what it stands for: the library's model, in loss, gradients
    /// and update.
    /// </summary>
    public void Check()
    {
        var (ourMacs, otherMacs) = (ours.Model.Config.GetCost().ForwardMacs, same.Model.Config.GetCost().ForwardMacs);
        if (Math.Abs(ourMacs - otherMacs) > 0.03 * otherMacs)
            throw new BenchmarkCheckException($"A forward pass takes {ourMacs:n0} multiply-adds, the baseline's {otherMacs:n0}.");
        CheckBaseline();
        RequireLearning("the measured model", () => Run(() => ours.Run(images_NCHW, labels_N, LearningRate)));
        RequireLearning("the baseline", () => Run(() => baseline.Run(images_NCHW, labels_N, LearningRate)));
    }

    public void Dispose()
    {
        foreach (var step in new[] { ours, same })
        {
            step.Model.Dispose();
            step.Dispose();
        }

        baseline.Dispose();
        images_NCHW.Dispose();
        labels_N.Dispose();
    }

    private void CheckBaseline()
    {
        var expected = Seeded(() => same.Backward(images_NCHW, labels_N));
        var actual = Seeded(() => baseline.Backward(images_NCHW, labels_N));
        if (!(Math.Abs(expected - actual) <= Tolerance * Math.Abs(expected)))
            throw new BenchmarkCheckException($"The baseline's loss is {actual:g6}, the library's {expected:g6}.");

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var weights = baseline.Model.Weights;
        // What a LayerNorm takes out again has a gradient of 0, of which only rounding is left.
        var floor = 0.01f * weights.All.Values.Max(weight => weight.grad!.abs().max().item<float>());
        foreach (var (name, parameter) in same.Model.named_parameters())
        {
            RequireEqual($"the gradient of '{name}'", weights[name].grad!, parameter.grad!, Tolerance, floor);
            parameter.grad!.copy_(weights[name].grad!);   // of equal gradients the updates must be equal
        }

        same.Update(LearningRate);
        baseline.Update(LearningRate);
        foreach (var (name, parameter) in same.Model.named_parameters())
            RequireEqual($"'{name}' after a step", weights[name], parameter, 1e-6, floor: 0);
    }

    private static void RequireLearning(string who, Func<float> step)
    {
        var first = step();
        for (var i = 0; i < 20; i++)
            _ = step();
        var last = step();
        if (!(last < first))
            throw new BenchmarkCheckException($"20 steps of {who} on the same images do not lower the loss: {first:g4} to {last:g4}.");
    }

    private static void RequireEqual(string what, Tensor actual, Tensor expected, double tolerance, float floor)
    {
        var difference = (actual - expected).abs().max().item<float>() / Math.Max(expected.abs().max().item<float>(), floor);
        if (!(difference <= tolerance))
            throw new BenchmarkCheckException($"In the baseline {what} differs by {difference:g3} of its largest number.");
    }

    // With the same noise in the router.
    private static float Seeded(Func<Tensor> step)
    {
        using var seed = new SeedScope(2, CPU);
        return Run(step);
    }

    private static float Run(Func<Tensor> step)
    {
        using var loss = step();
        return loss.item<float>();
    }
}
