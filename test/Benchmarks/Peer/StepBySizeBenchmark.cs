using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>A training step of a layer against one of a layer with fewer experts, on the same tokens: what more experts cost.</summary>
internal sealed class StepBySizeBenchmark : IBenchmark
{
    private readonly PeerWork largeWork;
    private readonly OurPeerStep large;
    private readonly OurPeerStep small;
    private readonly Tensor[] x_TD;
    private readonly Tensor gradient_TD;
    private int largeSteps;
    private int smallSteps;

    /// <param name="large">Sizes of the layer with more experts, whose time is ours.</param>
    /// <param name="small">Sizes of the other, whose time is the baseline's.</param>
    public StepBySizeBenchmark(PeerWork large, PeerWork small)
    {
        largeWork = large;
        this.large = new OurPeerStep(large.Layer());
        this.small = new OurPeerStep(small.Layer());
        (x_TD, gradient_TD) = large.Inputs();
    }

    public BenchmarkWork? Work => largeWork.Step;

    public void Ours() => large.Run(x_TD[largeSteps++ % x_TD.Length], gradient_TD);

    public void Baseline() => small.Run(x_TD[smallSteps++ % x_TD.Length], gradient_TD);

    // There is no common result of two sizes: both are compared with torch's operators.
    public void Check()
    {
        foreach (var step in new[] { large, small })
        {
            using var noGrad = no_grad();
            using var scope = NewDisposeScope();
            var layer = step.Layer;
            var options = largeWork.Options with { Experts = layer.Experts.Experts };
            var retrieval = new PlainRetrieval(
                layer.named_parameters().ToDictionary(p => p.name, p => (Tensor)p.parameter),
                new Dictionary<string, Tensor>(),
                options,
                training: true);
            var (ids_TM, gates_TM) = retrieval.Retrieve(x_TD[0]);
            PeerCheck.RowsAgree(
                "The output", layer.Experts.ForwardByTorch(x_TD[0], gates_TM, ids_TM), layer.forward(x_TD[0]).Output_TD, tolerance: 1e-4);
        }
    }

    public void Dispose()
    {
        large.Dispose();
        small.Dispose();
        foreach (var x in x_TD)
            x.Dispose();
        gradient_TD.Dispose();
    }
}
