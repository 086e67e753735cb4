// Axes: T = tokens of the whole batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token, R =
// computed rows,
//       C = rows of a chunk.

using Microsoft.ML.MoE.Kernels.Gemm;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>
/// <see cref="ManagedExperts"/> as an operation that autograd knows. Arguments: x_TD, gates_TK, w1_EDF, b1_EF, w2_EFD, b2_ED, then the
/// <see cref="SortedRows"/>.
/// </summary>
internal sealed unsafe class ManagedExpertsFunction : autograd.SingleTensorFunction<ManagedExpertsFunction>
{
    private const string XNeedsGradient = nameof(XNeedsGradient);
    private const long LargeGradient = 8L << 20;   // numbers; 32 MB

    /// <inheritdoc/>
    public override string Name => nameof(ManagedExpertsFunction);

    /// <summary>Whether the managed products are the faster ones here.</summary>
    /// <param name="tensors">Tokens, gates and parameters.</param>
    public static bool Suits(params ReadOnlySpan<Tensor> tensors)
    {
        foreach (var tensor in tensors)
        {
            if (!Memory.HoldsFloats(tensor))
                return false;
        }

        return ManagedGemm.IsFastInGroups;
    }

    /// <summary>
    /// Computes the experts; see <see cref="MoE.Experts.FeedForwardExperts.forward"/>. All tensors are float32 on the CPU.
    /// </summary>
    public static Tensor Apply(Tensor x_TD, Tensor gates_TK, FeedForwardWeights weights, SortedRows rows)
    {
        rows.Check(weights.W1_EDF.shape[0], gates_TK.shape[0], gates_TK.shape[1]);
        using var scope = NewDisposeScope();
        if (!is_grad_enabled())
            return Forward(x_TD, gates_TK, weights, rows, keepHidden: false).Y_TD.MoveToOuterDisposeScope();
        var (w1_EDF, b1_EF, w2_EFD, b2_ED) = weights.Unshared();
        return apply(x_TD, gates_TK, w1_EDF, b1_EF, w2_EFD, b2_ED, rows).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        // What is saved stays in the caller's dispose scope: TorchSharp takes hold of it after this method has returned.
        var (weights, rows) = (
            new FeedForwardWeights((Tensor)vars[2], (Tensor)vars[3], (Tensor)vars[4], (Tensor)vars[5]), (SortedRows)vars[6]);
        var (y_TD, saved) = Forward((Tensor)vars[0], (Tensor)vars[1], weights, rows, keepHidden: true);
        ctx.set_materialize_grads(false);   // an output without a gradient needs no work
        ctx.save_data(XNeedsGradient, ((Tensor)vars[0]).requires_grad);
        ctx.save_for_backward([weights.W1_EDF, weights.W2_EFD, rows.RowEnds_E, rows.TokenOfRow_R, rows.PairOfRow_R, .. saved]);
        return y_TD;
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        if (grad_output.IsInvalid)
            return [null!, null!, null!, null!, null!, null!, null!];

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        if (
            ctx.get_saved_variables()
            is not [
                var w1_EDF,
                var w2_EFD,
                var rowEnds_E,
                var tokenOfRow_R,
                var pairOfRow_R,
                var x_TD,
                var gates_TK,
                var rowOutputs_RD,
                .. var hidden_CF,
            ])
            throw new InvalidOperationException("The forward pass saved other tensors than the backward pass expects.");

        if (w1_EDF.NumberOfElements > LargeGradient)
            ProcessTuning.ReleaseFreedMemoryIfMostIsFree();
        var dy_TD = grad_output.contiguous();
        var gradients = new FeedForwardGradients(
            (bool)ctx.get_data(XNeedsGradient) ? empty_like(x_TD) : null, empty_like(gates_TK),
            empty_like(w1_EDF), empty([w1_EDF.shape[0], w1_EDF.shape[2]]), empty_like(w2_EFD), empty([w2_EFD.shape[0], w2_EFD.shape[2]]));
        var experts = Describe(x_TD, gates_TK, w1_EDF, rowEnds_E, tokenOfRow_R, pairOfRow_R);
        var (rowGradients_RD, hiddenGradients_CF) = (
            empty_like(rowOutputs_RD), empty([Math.Min(experts.ChunkRows, experts.Rows), w1_EDF.shape[2]]));
        WorkTeam.Run(get_num_threads(), team =>
            experts.Backward(
                team,
                PassOf(x_TD, gates_TK, w1_EDF, w2_EFD, Pointers(hidden_CF), rowOutputs_RD),
                Memory.Floats(dy_TD),
                Memory.Floats(rowGradients_RD),
                Memory.Floats(hiddenGradients_CF),
                new ManagedGradients(gradients)));
        return [.. gradients.Moved(), null!];
    }

    // The output, and what the backward pass needs besides parameters and plan: tokens, gates, the rows' outputs, the chunks' sums before
    // GELU.
    private static (Tensor Y_TD, IReadOnlyList<Tensor> Saved) Forward(
        Tensor x_TD, Tensor gates_TK, FeedForwardWeights weights, SortedRows rows, bool keepHidden)
    {
        using var scope = NewDisposeScope();
        var (w1_EDF, b1_EF, w2_EFD, b2_ED) = weights;
        (x_TD, gates_TK) = (x_TD.contiguous(), gates_TK.contiguous());
        var experts = Describe(x_TD, gates_TK, w1_EDF, rows.RowEnds_E, rows.TokenOfRow_R, rows.PairOfRow_R);
        var chunks = Enumerable.Range(0, keepHidden ? experts.Chunks : Math.Min(experts.Chunks, 1));
        var hidden_CF = chunks
            .Select(chunk => empty([Math.Min(experts.ChunkRows, experts.Rows - (chunk * experts.ChunkRows)), w1_EDF.shape[2]]))
            .ToArray();
        // One room for all, one after the other.
        var pointers = keepHidden ? Pointers(hidden_CF) : [.. Enumerable.Repeat(Pointers(hidden_CF).FirstOrDefault(), experts.Chunks)];
        var (rowOutputs_RD, y_TD) = (empty([experts.Rows, w1_EDF.shape[1]]), empty_like(x_TD));
        WorkTeam.Run(get_num_threads(), team =>
            experts.Forward(
                team,
                PassOf(x_TD, gates_TK, w1_EDF, w2_EFD, pointers, rowOutputs_RD),
                Memory.Floats(b1_EF),
                Memory.Floats(b2_ED),
                Memory.Floats(y_TD)));
        GC.KeepAlive(rows);
        return (
            y_TD.MoveToOuterDisposeScope(),
            keepHidden
                ? [.. new[] { x_TD, gates_TK, rowOutputs_RD }.Concat(hidden_CF).Select(tensor => tensor.MoveToOuterDisposeScope())]
                : []);
    }

    private static ManagedExperts Describe(
        Tensor x_TD, Tensor gates_TK, Tensor w1_EDF, Tensor rowEnds_E, Tensor tokenOfRow_R, Tensor pairOfRow_R)
    {
        var tokenOfRow = Memory.Longs(tokenOfRow_R);
        var pairOfRow = Memory.Longs(pairOfRow_R);
        return new ManagedExperts(
            checked((int)x_TD.shape[0]),
            (int)gates_TK.shape[1],
            (int)w1_EDF.shape[1],
            (int)w1_EDF.shape[2],
            rowEnds_E.data<int>().ToArray(),
            tokenOfRow,
            pairOfRow);
    }

    private static ManagedPass PassOf(Tensor x_TD, Tensor gates_TK, Tensor w1_EDF, Tensor w2_EFD, nint[] hidden, Tensor rowOutputs_RD) =>
        new()
        {
            X = Memory.Floats(x_TD),
            Gates = Memory.Floats(gates_TK),
            W1 = Memory.Floats(w1_EDF),
            W2 = Memory.Floats(w2_EFD),
            Hidden = hidden,
            RowOutputs = Memory.Floats(rowOutputs_RD),
        };

    private static nint[] Pointers(IEnumerable<Tensor> tensors) => [.. tensors.Select(tensor => (nint)Memory.Address(tensor))];
}
