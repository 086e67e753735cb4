// Axes: T = tokens of the batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token,
//       R = rows that are computed: the pairs of tokens and experts, sorted by expert.

using Microsoft.ML.MoE.Models;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>
/// A mixture of experts in libtorch's operators: the rows are gathered once, sorted by expert, and every expert multiplies its own. Gather
/// and scatter-add have an index that is expanded along the row: so libtorch does them, and their gradients, faster than index_select and
/// index_add.
/// </summary>
internal sealed class TorchMixture
{
    private readonly WideNetConfig config;
    private readonly Parameter router_ED;
    private readonly (Parameter W1_EDF, Parameter B1_EF, Parameter W2_EFD, Parameter B2_ED) experts;

    /// <param name="weights">The weights of the model.</param>
    /// <param name="name">The mixture's name in it.</param>
    /// <param name="config">Experts, noise, capacity: of the even share, in the order of the tokens.</param>
    public TorchMixture(TorchWeights weights, string name, WideNetConfig config)
    {
        this.config = config;
        router_ED = weights[$"{name}.router.weight"];
        experts = (
            weights[$"{name}.experts.weight1"],
            weights[$"{name}.experts.bias1"],
            weights[$"{name}.experts.weight2"],
            weights[$"{name}.experts.bias2"]);
    }

    /// <summary>Outputs (T, D) and, while training, the balance loss.</summary>
    public (Tensor Output_TD, Tensor? Balance) Apply(Tensor x_TD, bool training)
    {
        using var scope = NewDisposeScope();
        var tokens = x_TD.shape[0];
        var logits_TE = nn.functional.linear(x_TD, router_ED);
        if (training && config.RouterNoise > 0)
            logits_TE = logits_TE.Plus(randn_like(logits_TE).Times(config.RouterNoise / config.Experts));
        var probs_TE = logits_TE.softmax(-1);
        var (gates_TK, ids_TK) = probs_TE.topk(config.ExpertsPerToken, -1);
        var places = training && config.TrainingCapacity is { } capacity
            ? Math.Max(1, (long)(capacity.Factor * config.ExpertsPerToken * tokens / config.Experts * (1 + 1e-15)))
            : tokens;
        var rows = TorchRows.Sort(ids_TK.data<long>().ToArray(), config.ExpertsPerToken, config.Experts, places);

        var tokenOfRow_RD = tensor(rows.Tokens).unsqueeze(1).expand(rows.Tokens.Length, x_TD.shape[1]);
        var x_ED = x_TD.gather(0, tokenOfRow_RD).split(rows.Sizes);
        var (w1, b1) = (experts.W1_EDF.unbind(0), experts.B1_EF.unbind(0));
        var (w2, b2) = (experts.W2_EFD.unbind(0), experts.B2_ED.unbind(0));
        var y_RD = cat(
            [.. x_ED.Select((x, e) => addmm(b2[e], nn.functional.gelu(addmm(b1[e], x, w1[e], 1, 1)), w2[e], 1, 1))], 0);
        var gates_R1 = gates_TK.flatten().gather(0, tensor(rows.Pairs)).unsqueeze(1);
        var y_TD = zeros_like(x_TD).scatter_add(0, tokenOfRow_RD, y_RD * gates_R1);
        if (!training)
            return (y_TD.MoveToOuterDisposeScope(), null);

        var fraction_E = tensor(Array.ConvertAll(rows.Chosen, count => count / (float)(tokens * config.ExpertsPerToken)));
        var balance = (fraction_E * probs_TE.mean([0])).sum().Times(config.Experts);
        return (y_TD.MoveToOuterDisposeScope(), balance.MoveToOuterDisposeScope());
    }
}
