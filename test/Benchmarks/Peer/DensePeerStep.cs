// Axes: T = tokens, D = model width, N = experts, M = experts of a token.

using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>
/// The layer in torch: gathered rows, gradients as large as the tables, TorchSharp's AdamW over all of it. Trains the same tables as
/// the layer that it is made from.
/// </summary>
internal sealed class DensePeerStep : IPeerStep
{
    private readonly Dictionary<string, Parameter> parameters;
    private readonly (Parameter Down_ND, Parameter Up_ND) tables;
    private readonly PlainRetrieval retrieval;
    private readonly optim.Optimizer optimizer;

    public DensePeerStep(Microsoft.ML.MoE.Layers.Peer layer, PeerWork work)
    {
        parameters = layer
            .named_parameters()
            .Where(p => p.parameter.requires_grad)
            .ToDictionary(p => p.name, p => new Parameter(p.parameter.detach().clone()));
        tables = (Alias(layer, "down"), Alias(layer, "up"));
        retrieval = new PlainRetrieval(Retrieval, new Dictionary<string, Tensor>(), work.Options, training: true);
        optimizer = optim.AdamW([.. parameters.Values, tables.Down_ND, tables.Up_ND], OurPeerStep.LearningRate, weight_decay: 0);
    }

    public IReadOnlyDictionary<string, Tensor> Retrieval => parameters.ToDictionary(p => p.Key, p => (Tensor)p.Value);

    public void Run(Tensor x_TD, Tensor gradient_TD)
    {
        using var scope = NewDisposeScope();
        var x = x_TD.detach().requires_grad_();
        var (ids_TM, gates_TM) = retrieval.Retrieve(x);
        long[] shape = [ids_TM.shape[0], ids_TM.shape[1], PeerWork.Width];
        var hidden_TM = nn.functional.gelu(einsum("td,tmd->tm", x, tables.Down_ND.index_select(0, ids_TM.flatten()).view(shape)));
        einsum("tm,tmd->td", hidden_TM * gates_TM, tables.Up_ND.index_select(0, ids_TM.flatten()).view(shape)).backward([gradient_TD]);
        optimizer.step();
        optimizer.zero_grad();
    }

    public void Dispose()
    {
        optimizer.Dispose();
        foreach (var parameter in parameters.Values.Append(tables.Down_ND).Append(tables.Up_ND))
            parameter.Dispose();
    }

    private static Parameter Alias(Microsoft.ML.MoE.Layers.Peer layer, string table) =>
        new(layer.Experts.Tables.Single(pair => pair.Key == table).Value.detach());
}
