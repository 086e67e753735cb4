using Microsoft.ML.MoE.Optimizers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Optimizer;

/// <summary>
/// One AdamW step over 200 matrices of 256×256 against a copy of as many bytes: weights and two moments are read and written, gradients
/// are read. The step is checked against TorchSharp's own loop.
/// </summary>
internal sealed class AdamWBenchmark : IBenchmark
{
    private const int Parameters = 200;
    private const int Side = 256;
    private const long Bytes = 7L * sizeof(float) * Parameters * Side * Side;
    private const double LearningRate = 1e-3;
    private const double WeightDecay = 0.01;

    private readonly Parameter[] ours;
    private readonly Parameter[] baseline;
    private readonly FusedAdamW fused;
    private readonly FastestCopy copy = new(Bytes);
    private readonly optim.Optimizer torchSharp;

    public AdamWBenchmark()
    {
        using var generator = new Generator(1);
        ours = new Parameter[Parameters];
        baseline = new Parameter[Parameters];
        for (var i = 0; i < Parameters; i++)
        {
            using var scope = NewDisposeScope();
            var weight = randn([Side, Side], generator: generator);
            var gradient = randn([Side, Side], generator: generator);
            ours[i] = new Parameter(weight.clone().DetachFromDisposeScope());
            baseline[i] = new Parameter(weight.clone().DetachFromDisposeScope());
            ours[i].grad = gradient.clone().DetachFromDisposeScope();
            baseline[i].grad = gradient.clone().DetachFromDisposeScope();
        }

        var named = ours.Select((parameter, i) => KeyValuePair.Create($"weight{i}", parameter));
        fused = new FusedAdamW([new ParameterGroup([.. named], WeightDecay)]);
        torchSharp = optim.AdamW(baseline, LearningRate, weight_decay: WeightDecay);
    }

    public BenchmarkWork? Work => new(MultiplyAdds: 0, Bytes, MemoryAccess.Copying);

    public void Ours() => fused.Step(LearningRate);

    public void Baseline() => copy.Run();

    public void Check()
    {
        for (var step = 0; step < 3; step++)
        {
            Ours();
            _ = torchSharp.step();
        }

        using var scope = NewDisposeScope();
        for (var i = 0; i < Parameters; i++)
        {
            var difference = (ours[i].detach() - baseline[i].detach()).abs().max().item<float>();
            if (!(difference < 1e-5))   // three steps move a weight by up to 3e-3
                throw new BenchmarkCheckException($"After three steps, matrix {i} differs by {difference}.");
        }
    }

    public void Dispose()
    {
        fused.Dispose();
        torchSharp.Dispose();
        copy.Dispose();
        foreach (var parameter in ours.Concat(baseline))
            parameter.Dispose();
    }
}
