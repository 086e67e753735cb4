// Axes: T = tokens of the whole batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token, P =
// places of padded rows,
//       C = places of a chunk.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>
/// <see cref="BFloat16Experts"/> as an operation that autograd knows. Arguments: x_TD, gates_TK, w1_EDF, b1_EF, w2_EFD, b2_ED, then the
/// <see cref="SortedRows"/>.
/// </summary>
internal sealed unsafe class BFloat16ExpertsFunction : autograd.SingleTensorFunction<BFloat16ExpertsFunction>
{
    private const string XNeedsGradient = nameof(XNeedsGradient);
    private const string Threads = nameof(Threads);
    private const long ChunkNumbers = 32 << 20;   // of hidden sums, 64 MB
    private const long LargeGradient = 16L << 20;   // numbers, 32 MB

    /// <inheritdoc/>
    public override string Name => nameof(BFloat16ExpertsFunction);

    /// <summary>Whether this is the fastest path for these tensors.</summary>
    /// <param name="x_TD">Tokens.</param>
    /// <param name="gates_TK">Gates.</param>
    public static bool Suits(Tensor x_TD, Tensor gates_TK) =>
        PrecisionExtensions.CpuMultipliesBFloat16
        && x_TD.device_type == DeviceType.CPU
        && x_TD.dtype == ScalarType.BFloat16
        && Memory.HoldsFloats(gates_TK);

    /// <summary>
    /// Computes the experts; see <see cref="MoE.Experts.FeedForwardExperts.forward"/>. All tensors are on the CPU: tokens and weights
    /// bfloat16, gates and biases float32.
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
        ctx.save_data(Threads, get_num_threads());   // the layout of the rows depends on it
        ctx.save_for_backward([
            weights.W1_EDF,
            weights.W2_EFD,
            weights.B2_ED,
            rows.RowEnds_E,
            rows.TokenOfRow_R,
            rows.PairOfRow_R,
            .. saved,
        ]);
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
                var b2_ED,
                var rowEnds_E,
                var tokenOfRow_R,
                var pairOfRow_R,
                var gates_TK,
                var x_PD,
                var rowOutputs_PD,
                .. var hidden_CF,
            ])
        {
            throw new InvalidOperationException("The forward pass saved other tensors than the backward pass expects.");
        }

        if (w1_EDF.NumberOfElements > LargeGradient)
            ProcessTuning.ReleaseFreedMemoryIfMostIsFree();
        var dy_TD = grad_output.contiguous();
        var gradients = new FeedForwardGradients(
            (bool)ctx.get_data(XNeedsGradient) ? empty([dy_TD.shape[0], w1_EDF.shape[1]], bfloat16) : null, empty_like(gates_TK),
            empty_like(w1_EDF), empty([w1_EDF.shape[0], w1_EDF.shape[2]]), empty_like(w2_EFD), empty_like(b2_ED));
        var threads = (int)ctx.get_data(Threads);
        var experts = new BFloat16Experts(
            (int)gates_TK.shape[1], LayOut(w1_EDF, rowEnds_E, threads), Memory.Longs(tokenOfRow_R), Memory.Longs(pairOfRow_R));
        var pass = new BFloat16Pass(gates_TK, w1_EDF, w2_EFD, b2_ED, x_PD, [.. hidden_CF], rowOutputs_PD);
        WorkTeam.Run(threads, team => experts.Backward(team, pass, dy_TD, gradients));
        GC.KeepAlive(tokenOfRow_R);
        GC.KeepAlive(pairOfRow_R);
        return [.. gradients.Moved(), null!];
    }

    // The output, and what the backward pass needs besides parameters and plan: gates, the rows' tokens, their outputs, the chunks' sums
    // before GELU.
    private static (Tensor Y_TD, IReadOnlyList<Tensor> Saved) Forward(
        Tensor x_TD, Tensor gates_TK, FeedForwardWeights weights, SortedRows rows, bool keepHidden)
    {
        using var scope = NewDisposeScope();
        var (w1_EDF, b1_EF, w2_EFD, b2_ED) = weights;
        (x_TD, gates_TK) = (x_TD.contiguous(), gates_TK.contiguous());
        var threads = get_num_threads();
        var padded = LayOut(w1_EDF, rows.RowEnds_E, threads);
        var experts = new BFloat16Experts((int)gates_TK.shape[1], padded, Memory.Longs(rows.TokenOfRow_R), Memory.Longs(rows.PairOfRow_R));
        var hidden_CF = keepHidden ? padded.Chunks.Select(chunk => empty([chunk.Places, w1_EDF.shape[2]], bfloat16)).ToArray() : null;
        var (x_PD, rowOutputs_PD) = (empty([padded.Places, w1_EDF.shape[1]], bfloat16), empty([padded.Places, w1_EDF.shape[1]], bfloat16));
        var y_TD = empty([x_TD.shape[0], w1_EDF.shape[1]]);
        var pass = new BFloat16Pass(gates_TK, w1_EDF, w2_EFD, b2_ED, x_PD, hidden_CF, rowOutputs_PD);
        WorkTeam.Run(threads, team => experts.Forward(team, x_TD, pass, b1_EF, y_TD));
        GC.KeepAlive(rows);
        return (
            y_TD.MoveToOuterDisposeScope(),
            hidden_CF is null
                ? []
                : [.. new[] { gates_TK, x_PD, rowOutputs_PD }.Concat(hidden_CF).Select(tensor => tensor.MoveToOuterDisposeScope())]);
    }

    private static PaddedRows LayOut(Tensor w1_EDF, Tensor rowEnds_E, int threads) =>
        PaddedRows.Create(rowEnds_E.data<int>().ToArray(), (int)Math.Max(ChunkNumbers / w1_EDF.shape[2], 1), threads);
}
