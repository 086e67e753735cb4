// Experts that are rows of tables, through libtorch's operators: for accelerators, and what the kernels of the CPU are compared with.
//
// Axes: T = tokens of the whole batch, C = tokens of a chunk, D = model width, N = experts, M = experts of a token.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Tables;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Experts;

/// <summary>
/// Rows are gathered for some tokens at a time, where they are multiplied with a vector of their own token, and added up without being
/// gathered (EmbeddingBag), where they are stored in float32.
/// </summary>
/// <param name="tables">The tables.</param>
/// <param name="chunkNumbers">Numbers that may be gathered at a time; a token's rows always are.</param>
internal sealed class TorchExpertTables(ExpertTables tables, long chunkNumbers = 1 << 24) : IExpertTablesKernel
{
    private bool Gated => tables.Kind == ExpertKind.GatedNeuron;

    /// <inheritdoc/>
    public (Tensor Y_TD, Tensor[] Products) Forward(Tensor x_TD, Tensor gates_TM, Tensor ids_TM)
    {
        using var scope = NewDisposeScope();
        var all = tables.Tables.Select(table => (Tensor)table.Value).ToArray();
        var products = all[..^1].Select(table => Dot(table, ids_TM, x_TD)).ToArray();
        var y_TD = Sum(all[^1], ids_TM, products.Length == 0 ? gates_TM : gates_TM * Neurons(products));
        return (y_TD.MoveToOuterDisposeScope(), [.. products.Select(product => product.MoveToOuterDisposeScope())]);
    }

    /// <inheritdoc/>
    public (Tensor? Dx_TD, Tensor DGates_TM, Tensor[] Multiples_TM) Backward(
        Tensor x_TD, Tensor gates_TM, Tensor ids_TM, Tensor[] products, Tensor dy_TD, bool wantsTokens)
    {
        using var scope = NewDisposeScope();
        var all = tables.Tables.Select(table => (Tensor)table.Value).ToArray();
        var dots_TM = Dot(all[^1], ids_TM, dy_TD);
        if (products.Length == 0)
            return (null, dots_TM.MoveToOuterDisposeScope(), [gates_TM.alias().MoveToOuterDisposeScope()]);

        var neurons_TM = Neurons(products);
        var scaled_TM = gates_TM * dots_TM;
        var multiples = Gated
            ? new[] { scaled_TM * Activate(products[1]), scaled_TM * products[0] * Derive(products[1]), gates_TM * neurons_TM }
            : [scaled_TM * Derive(products[0]), gates_TM * neurons_TM];
        var dx_TD = wantsTokens
            ? all[..^1].Select((table, i) => Sum(table, ids_TM, multiples[i])).Aggregate((sum, next) => sum.Plus(next))
            : null;
        return (
            dx_TD?.MoveToOuterDisposeScope(),
            (dots_TM * neurons_TM).MoveToOuterDisposeScope(),
            [.. multiples.Select(multiple => multiple.MoveToOuterDisposeScope())]);
    }

    private Tensor Neurons(Tensor[] products) => Gated ? Activate(products[1]) * products[0] : Activate(products[0]);

    private Tensor Activate(Tensor x) => tables.Activation == NeuronActivation.Relu ? nn.functional.relu(x) : nn.functional.gelu(x);

    private Tensor Derive(Tensor x) =>
        tables.Activation == NeuronActivation.Relu
            ? x.GreaterThan(0).to_type(float32)
            : x.DividedBy(Math.Sqrt(2))
                .erf()
                .Plus(1)
                .DividedBy(2)
                .Plus((x * x.Squared().DividedBy(-2).exp()).DividedBy(Math.Sqrt(2 * Math.PI)));   // Φ(x) + x·φ(x)

    // The product of each pair's row with its token's vector (T, M).
    private Tensor Dot(Tensor table_ND, Tensor ids_TM, Tensor vectors_TD)
    {
        using var scope = NewDisposeScope();
        var parts = Chunks(ids_TM)
            .Select(chunk =>
            {
                using var inner = NewDisposeScope();
                return Gather(table_ND, ids_TM, chunk)
                    .matmul(vectors_TD.narrow(0, chunk.First, chunk.Count).unsqueeze(2))
                    .squeeze(2)
                    .MoveToOuterDisposeScope();
            });
        return cat([zeros([0, ids_TM.shape[1]], float32, ids_TM.device), .. parts], 0).MoveToOuterDisposeScope();
    }

    // The weighted sum of each token's rows (T, D).
    private Tensor Sum(Tensor table_ND, Tensor ids_TM, Tensor weights_TM)
    {
        using var scope = NewDisposeScope();
        if (table_ND.dtype == float32 && ids_TM.numel() > 0)
            return TorchScripts.EmbeddingBag(table_ND, ids_TM, weights_TM).MoveToOuterDisposeScope();
        var parts = Chunks(ids_TM)
            .Select(chunk =>
            {
                using var inner = NewDisposeScope();
                return weights_TM
                    .narrow(0, chunk.First, chunk.Count)
                    .unsqueeze(1)
                    .matmul(Gather(table_ND, ids_TM, chunk))
                    .squeeze(1)
                    .MoveToOuterDisposeScope();
            });
        return cat([zeros([0, table_ND.shape[1]], float32, ids_TM.device), .. parts], 0).MoveToOuterDisposeScope();
    }

    private static Tensor Gather(Tensor table_ND, Tensor ids_TM, (long First, long Count) chunk)
    {
        var ids_CM = ids_TM.narrow(0, chunk.First, chunk.Count);
        return table_ND.index_select(0, ids_CM.flatten()).to_type(float32).view(chunk.Count, ids_TM.shape[1], table_ND.shape[1]);
    }

    private IEnumerable<(long First, long Count)> Chunks(Tensor ids_TM)
    {
        var (tokens, size) = (ids_TM.shape[0], Math.Max(1, chunkNumbers / Math.Max(1, ids_TM.shape[1] * tables.Width)));
        for (var first = 0L; first < tokens; first += size)
            yield return (first, Math.Min(size, tokens - first));
    }
}
