// Axes: T = tokens, D = model width, N = experts, R = rows that a step touches.

using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>
/// A training step of a PEER layer, retrieval and optimizer included, against one in torch. Both train the same tables: two copies of
/// them would not fit into many machines' memory.
/// </summary>
internal sealed class StepVsTorchBenchmark : IBenchmark
{
    private readonly OurPeerStep ours;
    private readonly IPeerStep baseline;
    private readonly Tensor[] x_TD;
    private readonly Tensor gradient_TD;
    private int ourSteps;
    private int baselineSteps;

    /// <param name="work">Sizes.</param>
    /// <param name="baseline">Makes the other step on the tables of a layer.</param>
    public StepVsTorchBenchmark(PeerWork work, Func<Microsoft.ML.MoE.Layers.Peer, PeerWork, IPeerStep> baseline)
    {
        Work = work.Step;
        ours = new OurPeerStep(work.Layer());
        this.baseline = baseline(ours.Layer, work);
        (x_TD, gradient_TD) = work.Inputs();
    }

    public BenchmarkWork? Work { get; }

    public void Ours() => ours.Run(x_TD[ourSteps++ % x_TD.Length], gradient_TD);

    public void Baseline() => baseline.Run(x_TD[baselineSteps++ % x_TD.Length], gradient_TD);

    public void Check()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var rows_R = ours.Layer.forward(x_TD[0]).Selection!.ExpertIds.unique(sorted: true).output;
        var tables = ours.Layer.Experts.Tables.ToDictionary(table => table.Key, table => (Tensor)table.Value);
        var before = tables.ToDictionary(table => table.Key, table => table.Value.index_select(0, rows_R));
        var retrievalBefore = ours.Retrieval.ToDictionary(p => p.Key, p => p.Value.detach().clone());
        using (enable_grad())
            Ours();
        var after = tables.ToDictionary(table => table.Key, table => table.Value.index_select(0, rows_R));
        foreach (var (name, table) in tables)
            table.index_copy_(0, rows_R, before[name]);
        using (enable_grad())
            Baseline();
        foreach (var (name, table) in tables)
            PeerCheck.StepsAgree($"the rows of '{name}'", table.index_select(0, rows_R), after[name], before[name]);

        // Normalised queries do not depend on the bias before: its gradient is rounding alone.
        foreach (var (name, expected) in baseline.Retrieval.Where(p => p.Key != "query.projection.bias"))
            PeerCheck.StepsAgree(name, expected, ours.Retrieval[name], retrievalBefore[name]);
    }

    public void Dispose()
    {
        baseline.Dispose();
        ours.Dispose();
        foreach (var x in x_TD)
            x.Dispose();
        gradient_TD.Dispose();
    }
}
