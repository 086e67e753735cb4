using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Experts;

/// <summary>
/// Forward and backward of the whole sparse layer against one dense feed-forward layer of libtorch's on K times the tokens: the same
/// active multiply-adds.
/// </summary>
internal sealed class MoeVsDenseBenchmark : IBenchmark
{
    private readonly MixtureOfExperts layer;
    private readonly nn.Module<Tensor, Tensor> dense;
    private readonly LayerStep ours;
    private readonly LayerStep baseline;
    private readonly LayerStep oracle;
    private readonly double tolerance;

    /// <param name="work">Sizes and tokens.</param>
    /// <param name="type">Type of weights, gradients and products, on both sides.</param>
    public MoeVsDenseBenchmark(ExpertsWork work, ScalarType type)
    {
        Work = work.Step(type);
        layer = work.Layer(type);
        ours = LayerStep.Of(layer, work);
        oracle = LayerStep.OfNaive(layer, work);
        tolerance = type == ScalarType.BFloat16 ? 0.03 : 1e-4;

        using var seed = new SeedScope(1, CPU);
        dense = nn.Sequential(nn.Linear(work.Width, work.HiddenWidth), nn.GELU(), nn.Linear(work.HiddenWidth, work.Width)).to(type);
        baseline = new LayerStep(dense, dense.forward, work.Inputs(work.ExpertsPerToken, type));
    }

    public BenchmarkWork? Work { get; }

    public void Ours() => ours.Run();

    public void Baseline() => baseline.Run();

    /// <summary>The dense layer computes something else, so the sparse one is compared with the loop over experts.</summary>
    public void Check() => ours.CheckAgainst(oracle, tolerance);

    public void Dispose()
    {
        ours.Dispose();
        oracle.Dispose();
        baseline.Dispose();
        layer.Dispose();
        dense.Dispose();
    }
}
