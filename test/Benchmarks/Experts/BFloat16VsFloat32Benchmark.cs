using Microsoft.ML.MoE.Layers;
using static TorchSharp.torch;

namespace Benchmarks.Experts;

/// <summary>The sparse layer in bfloat16 against itself in float32, on the same tokens.</summary>
internal sealed class BFloat16VsFloat32Benchmark : IBenchmark
{
    private readonly MixtureOfExperts half = ExpertsWork.Standard.Layer(ScalarType.BFloat16);
    private readonly MixtureOfExperts single = ExpertsWork.Standard.Layer(ScalarType.Float32);
    private readonly LayerStep ours;
    private readonly LayerStep baseline;

    public BFloat16VsFloat32Benchmark()
    {
        ours = LayerStep.Of(half, ExpertsWork.Standard);
        baseline = LayerStep.Of(single, ExpertsWork.Standard);
    }

    public BenchmarkWork? Work { get; } = ExpertsWork.Standard.Step(ScalarType.BFloat16);

    public void Ours() => ours.Run();

    public void Baseline() => baseline.Run();

    public void Check() => ours.CheckAgainst(baseline, 0.03);

    public void Dispose()
    {
        ours.Dispose();
        baseline.Dispose();
        half.Dispose();
        single.Dispose();
    }
}
