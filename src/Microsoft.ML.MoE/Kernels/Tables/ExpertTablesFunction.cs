// Axes: T = tokens of the whole batch, D = model width, M = experts of a token.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>
/// Experts that are rows of tables as an operation that autograd knows. Arguments: x_TD, gates_TM, ids_TM, anchor, then the
/// <see cref="IExpertTablesKernel"/> and who is told the gradients of the tables: the experts (T, M), and for every table the factors of
/// each pair's row.
/// </summary>
internal sealed class ExpertTablesFunction : autograd.SingleTensorFunction<ExpertTablesFunction>
{
    private const string XNeedsGradient = nameof(XNeedsGradient);
    private const string AddGradient = nameof(AddGradient);
    private const string Kernel = nameof(Kernel);

    /// <inheritdoc/>
    public override string Name => nameof(ExpertTablesFunction);

    /// <summary>Computes the experts; see <see cref="MoE.Experts.ExpertTables.forward"/>. The arguments have been checked.</summary>
    public static Tensor Apply(
        IExpertTablesKernel kernel, Action<Tensor, IReadOnlyList<RowFactors>> addGradient, Tensor x_TD, Tensor gates_TM, Tensor ids_TM)
    {
        using var scope = NewDisposeScope();
        if (!is_grad_enabled())
            return kernel.Forward(x_TD.contiguous(), gates_TM.contiguous(), ids_TM.contiguous()).Y_TD.MoveToOuterDisposeScope();

        // The tables need a gradient even where neither tokens nor gates do, and autograd does not know: an argument without elements tells
        // it.
        var anchor = zeros([0], float32, x_TD.device).requires_grad_();
        return apply(x_TD, gates_TM, ids_TM, anchor, kernel, addGradient).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        // What is saved stays in the caller's dispose scope: TorchSharp takes hold of it after this method has returned.
        var (x_TD, gates_TM, ids_TM) = (((Tensor)vars[0]).contiguous(), ((Tensor)vars[1]).contiguous(), ((Tensor)vars[2]).contiguous());
        var kernel = (IExpertTablesKernel)vars[4];
        var (y_TD, products) = kernel.Forward(x_TD, gates_TM, ids_TM);
        ctx.set_materialize_grads(false);   // an output without a gradient needs no work
        ctx.save_data(XNeedsGradient, ((Tensor)vars[0]).requires_grad);
        ctx.save_data(Kernel, kernel);
        ctx.save_data(AddGradient, vars[5]);
        ctx.save_for_backward([x_TD, gates_TM, ids_TM, .. products]);
        return y_TD;
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        if (grad_output.IsInvalid)
            return [null!, null!, null!, null!, null!, null!];

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        if (ctx.get_saved_variables() is not [var x_TD, var gates_TM, var ids_TM, .. var products])
            throw new InvalidOperationException("The forward pass saved other tensors than the backward pass expects.");

        var kernel = (IExpertTablesKernel)ctx.get_data(Kernel);
        var addGradient = (Action<Tensor, IReadOnlyList<RowFactors>>)ctx.get_data(AddGradient);
        var dy_TD = grad_output.contiguous();
        var (dx_TD, dGates_TM, multiples) = kernel.Backward(
            x_TD, gates_TM, ids_TM, [.. products], dy_TD, (bool)ctx.get_data(XNeedsGradient));
        addGradient(
            ids_TM,
            [.. multiples.Select((multiples_TM, table) => new RowFactors(multiples_TM, table == multiples.Length - 1 ? dy_TD : x_TD))]);
        return [dx_TD?.MoveToOuterDisposeScope()!, dGates_TM.MoveToOuterDisposeScope(), null!, null!, null!, null!];
    }
}
