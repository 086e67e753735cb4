using Microsoft.ML.MoE.Layers;
using TorchSharp;

namespace Benchmarks.Experts;

/// <summary>
/// Forward and backward of the sparse layer against a loop over the experts with masks and <c>w[e]</c>, on the same weights and tokens.
/// </summary>
internal sealed class MoeVsNaiveBenchmark : IBenchmark
{
    private readonly MixtureOfExperts layer = ExpertsWork.Standard.Layer(torch.ScalarType.Float32);
    private readonly LayerStep ours;
    private readonly LayerStep baseline;

    public MoeVsNaiveBenchmark()
    {
        ours = LayerStep.Of(layer, ExpertsWork.Standard);
        baseline = LayerStep.OfNaive(layer, ExpertsWork.Standard);
    }

    public BenchmarkWork? Work { get; } = ExpertsWork.Standard.Step(torch.ScalarType.Float32);

    public void Ours() => ours.Run();

    public void Baseline() => baseline.Run();

    public void Check() => ours.CheckAgainst(baseline, 1e-4);

    public void Dispose()
    {
        ours.Dispose();
        baseline.Dispose();
        layer.Dispose();
    }
}
