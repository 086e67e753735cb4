// Axes: T = tokens, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token, N = tokens of one expert.

using Microsoft.ML.MoE.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Experts;

/// <summary>
/// The layer as one writes it first: a loop over the experts, each of which picks its tokens by a mask and its weights by index. Uses a
/// layer's own parameters; also what the layer is checked against.
/// </summary>
internal sealed class NaiveExperts(MixtureOfExperts layer, int expertsPerToken)
{
    private readonly Dictionary<string, Parameter> parameters = layer.named_parameters().ToDictionary(p => p.name, p => p.parameter);

    /// <summary>Outputs (T, D) for tokens (T, D), in float32.</summary>
    public Tensor Forward(Tensor x_TD)
    {
        using var scope = NewDisposeScope();
        var (w1_EDF, b1_EF) = (parameters["experts.weight1"], parameters["experts.bias1"]);
        var (w2_EFD, b2_ED) = (parameters["experts.weight2"], parameters["experts.bias2"]);
        var probabilities_TE = nn.functional.softmax(nn.functional.linear(x_TD, parameters["router.weight"]), dim: -1);
        var (gates_TK, ids_TK) = probabilities_TE.topk(expertsPerToken, dim: -1);
        var y_TD = zeros_like(x_TD);
        for (var e = 0; e < w1_EDF.shape[0]; e++)
        {
            var chosen_TK = ids_TK.eq(e);
            var tokens_N = chosen_TK.any(1).nonzero().flatten();
            if (tokens_N.shape[0] == 0)
                continue;
            var gate_N = (gates_TK * chosen_TK).sum([1]).index_select(0, tokens_N);
            var x_ND = x_TD.index_select(0, tokens_N).to_type(w1_EDF.dtype);
            var hidden_NF = nn.functional.gelu(x_ND.mm(w1_EDF[e]) + b1_EF[e]);
            var y_ND = (hidden_NF.mm(w2_EFD[e]) + b2_ED[e]).to_type(ScalarType.Float32);
            y_TD = y_TD.index_add(0, tokens_N, y_ND * gate_N.unsqueeze(1), 1);
        }

        return y_TD.MoveToOuterDisposeScope();
    }
}
