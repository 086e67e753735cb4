// Axes: N = images of a batch, C = channels or classes, H = height, W = width.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Training;

/// <summary>A training step of a small sparse model on 64 images against one of a dense model of the same width and depth, and as many active multiply-adds.</summary>
internal sealed class StepBenchmark : IBenchmark
{
    private const int Images = 64;
    private const double LearningRate = 1e-3;

    private readonly ModelStep ours;
    private readonly ModelStep baseline;
    private readonly Tensor images_NCHW;
    private readonly Tensor labels_N;

    /// <param name="sparse">The model that is measured.</param>
    /// <param name="dense">What it is compared with, for the same images.</param>
    public StepBenchmark(ImageClassifierConfig sparse, ImageClassifierConfig dense)
    {
        using var seed = new SeedScope(1, CPU);
        var options = new TrainingOptions().Settled();
        ours = new ModelStep(sparse.Build(), options);
        baseline = new ModelStep(dense.Build(), options);
        images_NCHW = randn(Images, sparse.Channels, sparse.ImageHeight, sparse.ImageWidth);
        labels_N = arange(Images, ScalarType.Int64).remainder(sparse.ClassCount);
    }

    public void Ours() => Run(ours);

    public void Baseline() => Run(baseline);

    /// <summary>The models compute different things: what must agree is the work, and both must learn.</summary>
    public void Check()
    {
        var (ourMacs, baselineMacs) = (ours.Model.Config.GetCost().ForwardMacs, baseline.Model.Config.GetCost().ForwardMacs);
        if (Math.Abs(ourMacs - baselineMacs) > 0.03 * baselineMacs)
            throw new BenchmarkCheckException($"A forward pass takes {ourMacs:n0} multiply-adds, the baseline's {baselineMacs:n0}.");
        foreach (var model in new[] { ours, baseline })
        {
            var first = Run(model);
            for (var i = 0; i < 20; i++)
                _ = Run(model);
            var last = Run(model);
            if (!(last < first))
                throw new BenchmarkCheckException($"20 steps on the same images do not lower the loss: {first:g4} to {last:g4}.");
        }
    }

    public void Dispose()
    {
        ours.Model.Dispose();
        baseline.Model.Dispose();
        ours.Dispose();
        baseline.Dispose();
        images_NCHW.Dispose();
        labels_N.Dispose();
    }

    private float Run(ModelStep step)
    {
        using var loss = step.Run(images_NCHW, labels_N, LearningRate);
        return loss.item<float>();
    }
}
