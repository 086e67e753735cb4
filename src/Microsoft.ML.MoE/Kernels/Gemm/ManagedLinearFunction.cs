// Axes: R = rows (all leading axes of the input together), I = inputs, O = outputs.

using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>
/// y = x·Wᵀ + b through the managed matrix product, as an operation that autograd knows. Arguments: x, weight_OI, bias_O.
/// </summary>
internal sealed unsafe class ManagedLinearFunction : autograd.SingleTensorFunction<ManagedLinearFunction>
{
    private const string XNeedsGradient = nameof(XNeedsGradient);
    private const long FewestRows = 12;   // fewer do not fill a tile, and transposing the weights costs more than the product
    private const long FewestRowsInPlace = 2;   // where they need not be; for one row, libtorch is at the memory's limit too

    private const long MostWorkOfOneThread = 1 << 20;   // multiply-adds; a second thread comes after 5 to 10 µs, in which these are done
    private const int SummedRows = 512;

    /// <inheritdoc/>
    public override string Name => nameof(ManagedLinearFunction);

    // Multiply-adds; below, a call from managed code costs more than the product saves, and with gradients there are two.
    private static long SmallestWork => (Avx512F.IsSupported, is_grad_enabled()) switch
    {
        (true, false) => 1 << 17,
        (true, true) => 1 << 18,
        (false, false) => 1 << 19,
        (false, true) => 1 << 21,
    };

    /// <summary>Whether the managed product is the faster one here.</summary>
    public static bool Suits(Tensor x, Tensor weight_OI) =>
        ManagedGemm.IsFast && Memory.HoldsFloats(x) && Memory.HoldsFloats(weight_OI)
        && x.NumberOfElements * weight_OI.shape[0] >= SmallestWork
        && x.NumberOfElements >= weight_OI.shape[1]
            * (DotKernel.Suits(weight_OI.shape[1], weight_OI.shape[0]) ? FewestRowsInPlace : FewestRows);

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

        var xRows = x.is_contiguous() ? x : x.contiguous();
        var dy = grad_output.is_contiguous() ? grad_output : grad_output.contiguous();
        var (inputs, outputs) = ((int)weight_OI.shape[1], (int)weight_OI.shape[0]);
        var rows = checked((int)(x.NumberOfElements / inputs));
        var dx = (bool)ctx.get_data(XNeedsGradient) ? empty_like(xRows) : null;
        var (dWeight_OI, dBias_O) = (empty_like(weight_OI), empty([outputs]));
        var px = Memory.Floats(xRows);
        var pdy = Memory.Floats(dy);
        var weightGradient = new MatrixProduct(
            new Operand(pdy, outputs, termsAlongRow: false),
            new Operand(px, inputs, termsAlongRow: false),
            Memory.Floats(dWeight_OI),
            inputs,
            outputs,
            inputs,
            rows);
        var xGradient = dx is null
            ? default
            : new MatrixProduct(
                new Operand(pdy, outputs, termsAlongRow: true),
                new Operand(Memory.Floats(weight_OI), inputs, termsAlongRow: false),
                Memory.Floats(dx),
                inputs,
                rows,
                inputs,
                outputs);
        var sums = Memory.Floats(dBias_O);
        if (IsForOneThread(rows, inputs, outputs))
        {
            ManagedGemm.RunAlone(weightGradient);
            ManagedGemm.RunAlone(xGradient);
            RowSums.Overwrite(pdy, rows, outputs, sums);
        }
        else
        {
            WorkTeam.Run(get_num_threads(), team =>
            {
                ManagedGemm.Run(team, [weightGradient]);
                if (xGradient.Rows > 0)
                    ManagedGemm.Run(team, [xGradient]);
                SumRows(team, pdy, rows, outputs, sums);
            });
        }

        GC.KeepAlive(dy);
        return [dx?.MoveToOuterDisposeScope()!, dWeight_OI.MoveToOuterDisposeScope(), dBias_O.MoveToOuterDisposeScope()];
    }

    private static bool IsForOneThread(int rows, int inputs, int outputs) => (long)rows * inputs * outputs < MostWorkOfOneThread;

    // Sums of as many rows each, however many threads there are, then the sums of those.
    private static void SumRows(WorkTeam team, float* values, int rows, int columns, float* sums)
    {
        var parts = (rows + SummedRows - 1) / SummedRows;
        if (parts <= 1)
        {
            RowSums.Overwrite(values, rows, columns, sums);
            return;
        }

        using var partSums_PO = empty([parts, columns]);
        var partSums = Memory.Floats(partSums_PO);
        team.ForEach(parts, (part, _) =>
        {
            var first = part * SummedRows;
            RowSums.Overwrite(
                values + ((nint)first * columns), Math.Min(SummedRows, rows - first), columns, partSums + ((nint)part * columns));
        });
        RowSums.Overwrite(partSums, parts, columns, sums);
    }

    private static Tensor Forward(Tensor x, Tensor weight_OI, Tensor bias_O)
    {
        using var copy = x.is_contiguous() ? null : x.contiguous();
        var xRows = copy ?? x;
        var (inputs, outputs) = ((int)weight_OI.shape[1], (int)weight_OI.shape[0]);
        var rows = checked((int)(x.NumberOfElements / inputs));
        var y = empty([.. x.shape[..^1], outputs]);
        var product = new MatrixProduct(
            new Operand(Memory.Floats(xRows), inputs, termsAlongRow: true),
            new Operand(Memory.Floats(weight_OI), inputs, termsAlongRow: true),
            Memory.Floats(y),
            outputs,
            rows,
            outputs,
            inputs)
        {
            Bias = Memory.Floats(bias_O),
        };
        if (IsForOneThread(rows, inputs, outputs))
            ManagedGemm.RunAlone(product);
        else
            WorkTeam.Run(get_num_threads(), team => ManagedGemm.Run(team, [product]));
        GC.KeepAlive(xRows);
        GC.KeepAlive(weight_OI);
        GC.KeepAlive(bias_O);
        return y;
    }
}
