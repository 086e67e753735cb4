// Axes: N = sequences, L = tokens, D = model width, F = hidden width, T = tokens of the batch, K = experts chosen, R = roles.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Generalist;

/// <summary>
/// The four linear layers of a block on tokens of one role: with that role's experts merged, against sending every token to each of
/// its experts and adding up what comes back.
/// </summary>
internal sealed class MergedVsUnmergedBenchmark : IBenchmark
{
    private const int Experts = 8;

    private readonly ConditionalLinear[] layers;
    private readonly MergedExperts merged = new();
    private readonly SequenceLayout layout;
    private readonly ConditionalRouting byRole;
    private readonly ConditionalRouting byToken;
    private readonly Tensor x_NLD;
    private readonly Tensor hidden_NLF;

    /// <param name="width">Model width.</param>
    /// <param name="hidden">Hidden width.</param>
    /// <param name="sequences">Sequences of a batch.</param>
    /// <param name="length">Tokens of a sequence.</param>
    public MergedVsUnmergedBenchmark(int width, int hidden, int sequences, int length)
    {
        using var seed = new SeedScope(1, CPU);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        layers = [new(width, 3L * width, Experts), new(width, width, Experts), new(width, hidden, Experts), new(hidden, width, Experts)];
        layout = new SequenceLayout(
            new SequencePart(AttributeTable.Create(StandardRole.ClassifiedPicture, "images", TokenModality.Image), length));
        var (gates_RK, ids_RK) = (
            tensor(
                new[,]
                {
                    { 0.7f, 0.3f },
                }
            ),
            tensor(
                new[,]
                {
                    { 2L, 5L },
                }
            ));
        byRole = new ConditionalRouting(new RoutingDecision(Keep(ids_RK), Keep(gates_RK), Keep(zeros([]))));
        var ofTokens = new RoutingDecision(
            Keep(ids_RK.expand(sequences * length, 2).contiguous()),
            Keep(gates_RK.expand(sequences * length, 2).contiguous()),
            Keep(zeros([])));
        var plan = DispatchPlan.Create(ofTokens, Experts, capacity: null);
        byToken = new ConditionalRouting(ofTokens, plan);
        foreach (var planned in PlanTensors(plan))
            planned.DetachFromDisposeScope();
        (x_NLD, hidden_NLF) = (Keep(randn(sequences, length, width)), Keep(randn(sequences, length, hidden)));
        foreach (var parameter in layers.SelectMany(layer => layer.parameters()))
            parameter.DetachFromDisposeScope();

        static Tensor Keep(Tensor tensor) => tensor.DetachFromDisposeScope();
    }

    /// <summary>The weights of the merged layers, and inputs and outputs, are read and written once.</summary>
    public BenchmarkWork? Work
    {
        get
        {
            double tokens = x_NLD.shape[0] * x_NLD.shape[1], width = x_NLD.shape[2], hidden = hidden_NLF.shape[2];
            var weights = (4 * width * width) + (2 * width * hidden);
            return new(tokens * weights, sizeof(float) * (weights + (tokens * ((8 * width) + (2 * hidden)))));
        }
    }

    public void Ours() => Run(byRole, merged, _ => { });

    public void Baseline() => Run(byToken, null, _ => { });

    public void Check()
    {
        var (expected, actual) = (new List<float[]>(), new List<float[]>());
        Run(byToken, null, y => expected.Add(y.contiguous().data<float>().ToArray()));
        Run(byRole, merged, y => actual.Add(y.contiguous().data<float>().ToArray()));
        var excess = expected
            .Zip(actual)
            .Max(pair => pair.First.Zip(pair.Second).Max(one => Math.Abs(one.First - one.Second) / (1 + Math.Abs(one.First))));
        if (!(excess <= 1e-4))
            throw new BenchmarkCheckException($"The outputs differ by {excess:g3}, relative to 1 + their size; at most 1e-4 is wanted.");
    }

    public void Dispose()
    {
        merged.Dispose();
        foreach (var layer in layers)
            layer.Dispose();
        foreach (var owned in PlanTensors(byToken.Plan!).Concat([x_NLD, hidden_NLF]))
            owned.Dispose();
        foreach (var decision in new[] { byRole.Decision, byToken.Decision })
        {
            decision.ExpertIds_TK.Dispose();
            decision.Gates_TK.Dispose();
            decision.BalanceLoss.Dispose();
        }
    }

    private void Run(ConditionalRouting routing, MergedExperts? kept, Action<Tensor> read)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var layer in layers)
            read(layer.Apply(layer == layers[^1] ? hidden_NLF : x_NLD, layout, routing, kept));
    }

    private static IEnumerable<Tensor> PlanTensors(DispatchPlan plan) =>
        [plan.TokenOfRow_R, plan.ExpertOfRow_R, plan.PairOfRow_R, plan.RowEnds_E, plan.Kept_TK, plan.ExpertCounts_E, plan.DroppedCount];
}
