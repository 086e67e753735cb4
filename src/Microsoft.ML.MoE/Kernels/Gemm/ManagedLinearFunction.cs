// Axes: R = rows (all leading axes of the input together), I = inputs, O = outputs.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>
/// y = x·Wᵀ + b through the managed matrix product, as an operation that autograd knows. Arguments: x, weight_OI, bias_O.
/// </summary>
internal sealed unsafe class ManagedLinearFunction : autograd.SingleTensorFunction<ManagedLinearFunction>
{
    private const string XNeedsGradient = nameof(XNeedsGradient);
    private const long SmallestWork = 1 << 18;   // multiply-adds; below, the call costs more than the product
    private const long FewestRows = 12;   // fewer do not fill a tile, and packing the weights costs more than the product

    /// <inheritdoc/>
    public override string Name => nameof(ManagedLinearFunction);

    /// <summary>Whether the managed product is the faster one here.</summary>
    public static bool Suits(Tensor x, Tensor weight_OI) =>
        ManagedGemm.IsFast && Memory.HoldsFloats(x) && Memory.HoldsFloats(weight_OI)
        && x.NumberOfElements * weight_OI.shape[0] >= SmallestWork && x.NumberOfElements >= FewestRows * weight_OI.shape[1];

    /// <summary>Computes x·Wᵀ + b.</summary>
    /// <param name="x">(…, I), float32, on the CPU.</param>
    /// <param name="weight_OI">(O, I), float32.</param>
    /// <param name="bias_O">(O), float32.</param>
    /// <returns>(…, O).</returns>
    public static Tensor Apply(Tensor x, Tensor weight_OI, Tensor bias_O)
    {
        if (!is_grad_enabled())
            return Forward(x, weight_OI, bias_O);
        using var scope = NewDisposeScope();
        return apply(x, Memory.Unshared(weight_OI), Memory.Unshared(bias_O)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (x, weight_OI, bias_O) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2]);
        ctx.set_materialize_grads(false);   // an output without a gradient needs no work
        ctx.save_data(XNeedsGradient, x.requires_grad);
        ctx.save_for_backward([x, weight_OI]);
        return Forward(x, weight_OI, bias_O);
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        if (grad_output.IsInvalid)
            return [null!, null!, null!];

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        if (ctx.get_saved_variables() is not [var x, var weight_OI])
            throw new InvalidOperationException("The forward pass saved other tensors than the backward pass expects.");

        var (xRows, dy) = (x.contiguous(), grad_output.contiguous());
        var (inputs, outputs) = ((int)weight_OI.shape[1], (int)weight_OI.shape[0]);
        var rows = checked((int)(x.NumberOfElements / inputs));
        var dx = (bool)ctx.get_data(XNeedsGradient) ? empty_like(xRows) : null;
        var (dWeight_OI, dBias_O) = (empty_like(weight_OI), empty([outputs]));
        WorkTeam.Run(get_num_threads(), team =>
        {
            var px = Memory.Floats(xRows);
            var pdy = Memory.Floats(dy);
            ManagedGemm.Run(
                team,
                [
                    new MatrixProduct(
                        new Operand(pdy, outputs, termsAlongRow: false),
                        new Operand(px, inputs, termsAlongRow: false),
                        Memory.Floats(dWeight_OI),
                        inputs,
                        outputs,
                        inputs,
                        rows),
                ]);
            if (dx is not null)
            {
                ManagedGemm.Run(
                    team,
                    [
                        new MatrixProduct(
                            new Operand(pdy, outputs, termsAlongRow: true),
                            new Operand(Memory.Floats(weight_OI), inputs, termsAlongRow: false),
                            Memory.Floats(dx),
                            inputs,
                            rows,
                            inputs,
                            outputs),
                    ]);
            }

            RowSums.Overwrite(pdy, rows, outputs, Memory.Floats(dBias_O));
        });
        GC.KeepAlive(dy);
        return [dx?.MoveToOuterDisposeScope()!, dWeight_OI.MoveToOuterDisposeScope(), dBias_O.MoveToOuterDisposeScope()];
    }

    private static Tensor Forward(Tensor x, Tensor weight_OI, Tensor bias_O)
    {
        using var scope = NewDisposeScope();
        var xRows = x.contiguous();
        var (inputs, outputs) = ((int)weight_OI.shape[1], (int)weight_OI.shape[0]);
        var rows = checked((int)(x.NumberOfElements / inputs));
        var y = empty([.. x.shape[..^1], outputs]);
        WorkTeam.Run(get_num_threads(), team =>
            ManagedGemm.Run(
                team,
                [
                    new MatrixProduct(
                        new Operand(Memory.Floats(xRows), inputs, termsAlongRow: true),
                        new Operand(Memory.Floats(weight_OI), inputs, termsAlongRow: true),
                        Memory.Floats(y),
                        outputs,
                        rows,
                        outputs,
                        inputs)
                    {
                        Bias = Memory.Floats(bias_O),
                    },
                ]));
        GC.KeepAlive(xRows);
        GC.KeepAlive(weight_OI);
        GC.KeepAlive(bias_O);
        return y.MoveToOuterDisposeScope();
    }
}
