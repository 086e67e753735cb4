// The K best of N = n² keys by two searches among n. Lample et al., "Large Memory Layers with Product Keys", arXiv 1907.05242, section 3.2;
// PEER, arXiv 2407.04153, section 2.1.
//
//   Key (i, j) is the pair of sub-keys c_i and c'_j, its number i·n + j, its score with the query q = [q₁; q₂]: c_i·q₁ + c'_j·q₂.
//   The K best keys are among the K² pairs of the K best c_i and the K best c'_j.
//
// Axes: T = tokens of the whole batch, H = heads, Q = H·d_k, the queries of all heads, A = d_k/2, half a query, N = n sub-keys, K = keys
// that a head retrieves.

using Microsoft.ML.MoE.Kernels.ProductKeys;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>
/// Finds for each query the K keys of N with the largest inner products, at the cost of 2·√N of them. The choice itself carries no
/// gradient; the scores do.
/// </summary>
public sealed class ProductKeys : nn.Module<Tensor, ProductKeyChoice>, IHasLearningRateScale
{
    private readonly ProductKeyOptions options;
    private readonly ManagedProductKeys managed;
    private readonly Parameter rowKeys;
    private readonly Parameter columnKeys;

    /// <summary>Makes sub-keys, uniform in ±1/√(d_k/2) as in the product-key memory.</summary>
    /// <param name="options">Number of keys, heads, widths.</param>
    /// <param name="device">Where the keys lie; CPU by default.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public ProductKeys(ProductKeyOptions options, Device? device = null) : base(nameof(ProductKeys))
    {
        options.Validate();
        this.options = options;
        managed = new ManagedProductKeys(options.SubKeys, options.Heads, options.KeysPerHead, options.QueryWidth, options.Shared);
        var half = options.QueryWidth / 2;
        long[] shape = options.Shared ? [options.SubKeys, half] : [options.Heads, options.SubKeys, half];
        var bound = 1 / Math.Sqrt(half);
        rowKeys = new Parameter(Draws.Uniform(empty(shape, float32, device), -bound, bound));
        columnKeys = new Parameter(Draws.Uniform(empty(shape, float32, device), -bound, bound));
        RegisterComponents();
    }

    /// <inheritdoc/>
    public double LearningRateScale => options.LearningRateScale;

    /// <summary>Finds the best keys.</summary>
    /// <param name="query_TQ">Queries of all heads side by side, float32 (T, H·d_k).</param>
    /// <exception cref="ArgumentException">The queries have another width.</exception>
    public override ProductKeyChoice forward(Tensor query_TQ)
    {
        if (query_TQ.dim() != 2 || query_TQ.shape[1] != (long)options.Heads * options.QueryWidth)
            throw new ArgumentException(
                $"The queries have the shape ({string.Join(", ", query_TQ.shape)}); (T, {(long)options.Heads * options.QueryWidth}) is "
                    + "wanted.",
                nameof(query_TQ));
        return managed.Suits(query_TQ, rowKeys, columnKeys) ? ForwardManaged(query_TQ) : ForwardByTorch(query_TQ);
    }

    /// <summary>The sub-keys as they are now, packed for many searches; null where the search cannot be used.</summary>
    internal PackedProductKeys? Pack() =>
        managed.Suits(rowKeys, columnKeys) ? PackedProductKeys.Of(options, managed, rowKeys, columnKeys) : null;

    /// <summary>The path for float32 on the CPU.</summary>
    internal ProductKeyChoice ForwardManaged(Tensor query_TQ)
    {
        var (ids_THK, scores_THK) = ProductKeyFunction.Apply(managed, query_TQ, rowKeys, columnKeys);
        return new(ids_THK, scores_THK);
    }

    /// <summary>
    /// The path through libtorch's operators, which is also the definition: scores of all sub-keys, the K best of each half, the K best of
    /// their pairs.
    /// </summary>
    internal ProductKeyChoice ForwardByTorch(Tensor query_TQ)
    {
        using var scope = NewDisposeScope();
        var (tokens, heads, count) = (query_TQ.shape[0], options.Heads, options.KeysPerHead);
        var halves_2THA = query_TQ.view(tokens, heads, 2, options.QueryWidth / 2).permute(2, 0, 1, 3);
        var (rowScores_THK, rows_THK) = Score(halves_2THA[0], rowKeys).topk(count, dim: -1);
        var (columnScores_THK, columns_THK) = Score(halves_2THA[1], columnKeys).topk(count, dim: -1);
        var pairs_THP = rowScores_THK.unsqueeze(3).Plus(columnScores_THK.unsqueeze(2)).flatten(2);   // (T, H, K, K) -> (T, H, K²)
        var (scores_THK, places_THK) = pairs_THP.topk(count, dim: -1);
        var ids_THK = rows_THK
            .gather(2, places_THK.FloorDividedBy(count))
            .Times(options.SubKeys)
            .Plus(columns_THK.gather(2, places_THK.Modulo(count)));
        return new ProductKeyChoice(ids_THK, scores_THK).MoveToOuterDisposeScope();
    }

    private Tensor Score(Tensor query_THA, Tensor keys) => options.Shared
        ? nn.functional.linear(query_THA, keys)
        : query_THA.transpose(0, 1).matmul(keys.transpose(1, 2)).transpose(0, 1);   // (H, T, A) · (H, A, N) -> (T, H, N)
}
