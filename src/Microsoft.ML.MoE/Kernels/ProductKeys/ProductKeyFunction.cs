// Axes: T = tokens of the whole batch, H = heads, K = keys that a head retrieves, Q = H·d_k, the queries of all heads.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.ProductKeys;

/// <summary>
/// The scores of the keys that a search has found, as an operation that autograd knows. Arguments: query_TQ, the two sets of sub-keys, then
/// <see cref="ManagedProductKeys"/> and what it has found: the scores of the keys, and their sub-keys.
/// </summary>
internal sealed class ProductKeyFunction : autograd.SingleTensorFunction<ProductKeyFunction>
{
    private const string QueryNeedsGradient = nameof(QueryNeedsGradient);
    private const string Keys = nameof(Keys);

    /// <inheritdoc/>
    public override string Name => nameof(ProductKeyFunction);

    /// <summary>Searches, and lets the scores carry gradients where gradients are recorded.</summary>
    /// <returns>The keys, int64 (T, H, K), best first, and their scores, float32 (T, H, K).</returns>
    public static (Tensor Ids_THK, Tensor Scores_THK) Apply(ManagedProductKeys keys, Tensor query_TQ, Tensor rowKeys, Tensor columnKeys)
    {
        using var scope = NewDisposeScope();
        var contiguous_TQ = query_TQ.contiguous();
        var (ids_THK, found_THK, subKeys_2THK) = keys.Search(contiguous_TQ, rowKeys, columnKeys);
        var scores_THK = is_grad_enabled()
            ? apply(contiguous_TQ, Memory.Unshared(rowKeys), Memory.Unshared(columnKeys), keys, found_THK, subKeys_2THK)
            : found_THK;
        return (ids_THK.MoveToOuterDisposeScope(), scores_THK.MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (query_TQ, rowKeys, columnKeys, scores_THK) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Tensor)vars[4]);
        ctx.set_materialize_grads(false);   // an output without a gradient needs no work
        ctx.save_data(QueryNeedsGradient, query_TQ.requires_grad);
        ctx.save_data(Keys, vars[3]);
        ctx.save_for_backward([query_TQ, rowKeys, columnKeys, (Tensor)vars[5]]);
        return scores_THK.alias();   // the one that carries the gradient; the search's own goes with the scope
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        if (grad_output.IsInvalid)
            return [null!, null!, null!, null!, null!, null!];

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        if (ctx.get_saved_variables() is not [var query_TQ, var rowKeys, var columnKeys, var subKeys_2THK])
            throw new InvalidOperationException("The forward pass saved other tensors than the backward pass expects.");

        var keys = (ManagedProductKeys)ctx.get_data(Keys);
        var (dQuery_TQ, dRowKeys, dColumnKeys) = keys.Backward(
            query_TQ, rowKeys, columnKeys, subKeys_2THK, grad_output.contiguous(), (bool)ctx.get_data(QueryNeedsGradient));
        return
        [
            dQuery_TQ?.MoveToOuterDisposeScope()!,
            dRowKeys.MoveToOuterDisposeScope(),
            dColumnKeys.MoveToOuterDisposeScope(),
            null!,
            null!,
            null!,
        ];
    }
}
