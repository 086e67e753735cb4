// Axes: T = tokens, D = model width, M = experts of a token.

using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>The forward pass of a whole PEER layer, retrieval included, against torch on the same weights and tokens.</summary>
internal sealed class ForwardBenchmark : IBenchmark
{
    private readonly Microsoft.ML.MoE.Layers.Peer layer;
    private readonly PlainRetrieval retrieval;
    private readonly Func<Tensor, Tensor, Tensor, Tensor> plainExperts;
    private readonly Tensor[] x_TD;
    private readonly Tensor down_ND;
    private readonly Tensor up_ND;
    private int ours;
    private int baselines;

    private ForwardBenchmark(PeerWork work, Func<ForwardBenchmark, Func<Tensor, Tensor, Tensor, Tensor>> plainExperts)
    {
        Work = work.Forward;
        layer = work.Layer();
        layer.eval();
        (x_TD, var gradient_TD) = work.Inputs();
        gradient_TD.Dispose();
        (down_ND, up_ND) = (layer.Experts.Tables[0].Value, layer.Experts.Tables[1].Value);
        retrieval = new PlainRetrieval(
            layer.named_parameters().ToDictionary(p => p.name, p => (Tensor)p.parameter),
            layer.named_buffers().ToDictionary(p => p.name, p => p.buffer),
            work.Options,
            training: false);
        this.plainExperts = plainExperts(this);
    }

    /// <summary>Against index_select and einsum.</summary>
    public static ForwardBenchmark VsGather(PeerWork work) => new(work, benchmark => benchmark.Gather);

    /// <summary>Against the best of libtorch's operators: index_select, bmm and EmbeddingBag.</summary>
    public static ForwardBenchmark VsEmbeddingBag(PeerWork work) => new(work, benchmark => benchmark.EmbeddingBag);

    public BenchmarkWork? Work { get; }

    public void Ours()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        _ = layer.forward(x_TD[ours++ % x_TD.Length]);
    }

    public void Baseline()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        _ = Plain(x_TD[baselines++ % x_TD.Length]);
    }

    public void Check()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        PeerCheck.RowsAgree("The output", Plain(x_TD[0]), layer.forward(x_TD[0]).Output_TD, tolerance: 1e-4);
    }

    public void Dispose()
    {
        foreach (var x in x_TD)
            x.Dispose();
        layer.Dispose();
    }

    private Tensor Plain(Tensor x)
    {
        var (ids_TM, gates_TM) = retrieval.Retrieve(x);
        return plainExperts(x, ids_TM, gates_TM);
    }

    private Tensor Gather(Tensor x, Tensor ids_TM, Tensor gates_TM)
    {
        long[] shape = [ids_TM.shape[0], ids_TM.shape[1], PeerWork.Width];
        var hidden_TM = nn.functional.gelu(einsum("td,tmd->tm", x, down_ND.index_select(0, ids_TM.flatten()).view(shape)));
        return einsum("tm,tmd->td", hidden_TM * gates_TM, up_ND.index_select(0, ids_TM.flatten()).view(shape));
    }

    private Tensor EmbeddingBag(Tensor x, Tensor ids_TM, Tensor gates_TM)
    {
        var rows_TMD = down_ND.index_select(0, ids_TM.flatten()).view(ids_TM.shape[0], ids_TM.shape[1], PeerWork.Width);
        var hidden_TM = nn.functional.gelu(rows_TMD.bmm(x.unsqueeze(2)).squeeze(2));
        return TorchScripts.EmbeddingBag(up_ND, ids_TM, hidden_TM * gates_TM);
    }
}
