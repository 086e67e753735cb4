// Axes: I = inputs, O = outputs.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Gemm;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Inference;

/// <summary>A linear layer with its weights packed.</summary>
internal sealed unsafe class LinearStep
{
    private readonly PinnedFloats weights;
    private readonly PinnedFloats? bias;

    private LinearStep(int inputs, int outputs, bool withBias)
    {
        (Inputs, Outputs) = (inputs, outputs);
        weights = new(PackedMatrix.Size(inputs, outputs));
        bias = withBias ? new(PackedMatrix.Size(1, outputs)) : null;
    }

    /// <summary>Width I of the input.</summary>
    public int Inputs { get; }

    /// <summary>Width O of the output.</summary>
    public int Outputs { get; }

    private PackedMatrix Matrix => new(weights.Address, Inputs, Outputs);

    /// <summary>Packs y = x·Wᵀ + b.</summary>
    /// <param name="weight_OI">float32 (O, I), on the CPU.</param>
    /// <param name="bias_O">float32 (O); null for none.</param>
    public static LinearStep Of(Tensor weight_OI, Tensor? bias_O) =>
        Pack(weight_OI, bias_O, (int)weight_OI.shape[1], (int)weight_OI.shape[0], termsAlongRow: true);

    /// <summary>Packs y = x·W + b.</summary>
    /// <param name="weight_IO">float32 (I, O), on the CPU.</param>
    /// <param name="bias_O">float32 (O); null for none.</param>
    public static LinearStep OfTransposed(Tensor weight_IO, Tensor? bias_O) =>
        Pack(weight_IO, bias_O, (int)weight_IO.shape[0], (int)weight_IO.shape[1], termsAlongRow: false);

    /// <summary>y = x·W + b, with GELU where asked for.</summary>
    /// <param name="workspace">Who works.</param>
    /// <param name="x">The rows.</param>
    /// <param name="rows">How many.</param>
    /// <param name="y">Receives them.</param>
    /// <param name="stride">Numbers from one row of y to the next.</param>
    /// <param name="gelu">Whether GELU is applied.</param>
    public void Apply(Workspace workspace, LeftRows x, int rows, float* y, nint stride, bool gelu = false) =>
        PackedProduct.Run(workspace, x, rows, Matrix, new ProductTarget(y, stride) { Bias = Bias, Gelu = gelu });

    /// <summary>y = y + x·W + b.</summary>
    /// <inheritdoc cref="Apply"/>
    public void AddTo(Workspace workspace, LeftRows x, int rows, float* y, nint stride) =>
        PackedProduct.Run(workspace, x, rows, Matrix, new ProductTarget(y, stride) { Bias = Bias, Add = true });

    private float* Bias => bias is null ? null : bias.Address;

    private static LinearStep Pack(Tensor weight, Tensor? bias_O, int inputs, int outputs, bool termsAlongRow)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var step = new LinearStep(inputs, outputs, bias_O is not null);
        var rows = weight.detach().contiguous();
        step.Matrix.Pack(new Operand(Memory.Floats(rows), (nint)rows.shape[1], termsAlongRow));
        if (bias_O is not null)
        {
            var numbers = bias_O.detach().contiguous();
            var all = new Span<float>(step.bias!.Address, (int)step.bias.Count);
            new ReadOnlySpan<float>(Memory.Floats(numbers), outputs).CopyTo(all);
            all[outputs..].Clear();
            GC.KeepAlive(numbers);
        }
        GC.KeepAlive(rows);
        return step;
    }
}
