// Axes: T = tokens, D = model width, N = experts, M = experts of a token, R = distinct rows.

using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>
/// The layer in torch with sparse embeddings: gathered rows, sparse gradients that are coalesced, and Adam on their rows, which TorchSharp
/// does not have, in torch's operators. Trains the same tables as the layer that it is made from.
/// </summary>
internal sealed class SparsePeerStep : IPeerStep
{
    private const string Source = """
        def sparse_adam_(table, first, second, gradient, rate: float, beta1: float, beta2: float, epsilon: float, step: int):
            sums = gradient.coalesce()
            rows = sums.indices()[0]
            g = sums.values()
            m = first.index_select(0, rows).mul_(beta1).add_(g, alpha=1 - beta1)
            v = second.index_select(0, rows).mul_(beta2).addcmul_(g, g, value=1 - beta2)
            first.index_copy_(0, rows, m)
            second.index_copy_(0, rows, v)
            root = v.sqrt_().div_((1 - beta2 ** step) ** 0.5).add_(epsilon)
            table.index_add_(0, rows, m.div_(root), alpha=-rate / (1 - beta1 ** step))
            return table

        """;   // the parser wants the last line ended

    private readonly jit.CompilationUnit script = jit.compile(Source);
    private readonly Dictionary<string, Parameter> parameters;
    private readonly (Embedding Table, Tensor First, Tensor Second)[] tables;
    private readonly PlainRetrieval retrieval;
    private readonly optim.Optimizer optimizer;
    private long steps;

    public SparsePeerStep(Microsoft.ML.MoE.Layers.Peer layer, PeerWork work)
    {
        parameters = layer
            .named_parameters()
            .Where(p => p.parameter.requires_grad)
            .ToDictionary(p => p.name, p => new Parameter(p.parameter.detach().clone()));
        tables =
        [
            .. layer.Experts.Tables.Select(table =>
                (
                    nn.Embedding_from_pretrained(table.Value.detach(), freeze: false, sparse: true),
                    zeros_like(table.Value),
                    zeros_like(table.Value))),
        ];
        retrieval = new PlainRetrieval(Retrieval, new Dictionary<string, Tensor>(), work.Options, training: true);
        optimizer = optim.AdamW(parameters.Values, OurPeerStep.LearningRate, weight_decay: 0);
    }

    public IReadOnlyDictionary<string, Tensor> Retrieval => parameters.ToDictionary(p => p.Key, p => (Tensor)p.Value);

    public void Run(Tensor x_TD, Tensor gradient_TD)
    {
        using (var scope = NewDisposeScope())
        {
            var x = x_TD.detach().requires_grad_();
            var (ids_TM, gates_TM) = retrieval.Retrieve(x);
            var hidden_TM = nn.functional.gelu(tables[0].Table.forward(ids_TM).matmul(x.unsqueeze(2)).squeeze(2));
            (hidden_TM * gates_TM).unsqueeze(1).matmul(tables[1].Table.forward(ids_TM)).squeeze(1).backward([gradient_TD]);
        }

        using var noGrad = no_grad();
        using var updates = NewDisposeScope();
        steps++;
        optimizer.step();
        using Scalar rate = OurPeerStep.LearningRate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, step = steps;
        foreach (var (table, first, second) in tables)
        {
            var weight = table.weight!;
            var gradient = weight.grad!;
            _ = script.invoke("sparse_adam_", weight, first, second, gradient, rate, beta1, beta2, epsilon, step);
            GC.KeepAlive(weight);
            GC.KeepAlive(gradient);
            weight.grad = null;
        }

        optimizer.zero_grad();
    }

    public void Dispose()
    {
        optimizer.Dispose();
        script.Dispose();
        foreach (var parameter in parameters.Values)
            parameter.Dispose();
        foreach (var (table, first, second) in tables)
        {
            table.Dispose();
            first.Dispose();
            second.Dispose();
        }
    }
}
