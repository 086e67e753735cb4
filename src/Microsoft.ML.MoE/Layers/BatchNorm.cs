// Batch normalisation of vectors, and of the pixels of images. Ioffe and Szegedy, arXiv 1502.03167.
//
// Axes: T = vectors of the batch, Q = width, … = any further axes.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// y = (x − E[x]) / √(Var[x] + ε) · γ + β, with mean and variance of each number over the batch while training, and their running means in
/// evaluation. A batch of fewer than two vectors, which has no variance, is normalised with the running means in training too, and leaves
/// them as they are.
/// </summary>
internal sealed class BatchNorm : nn.Module<Tensor, Tensor>
{
    private const double Momentum = 0.1;
    private const double Epsilon = 1e-5;

    private readonly Parameter? weight;
    private readonly Parameter? bias;
    private readonly Tensor runningMean;
    private readonly Tensor runningVariance;

    /// <summary>
    /// Makes a normalisation with γ = 1, β = 0, running mean 0 and running variance 1, which move by a tenth of the difference with every
    /// batch; ε is 1e-5.
    /// </summary>
    /// <param name="width">Width Q.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="affine">Whether it has scale γ and shift β. Default true.</param>
    public BatchNorm(long width, Device? device = null, bool affine = true) : base(nameof(BatchNorm))
    {
        if (affine)
        {
            weight = new Parameter(ones([width], float32, device));
            bias = new Parameter(zeros([width], float32, device));
        }
        runningMean = zeros([width], float32, device);
        runningVariance = ones([width], float32, device);
        RegisterComponents();
    }

    /// <summary>
    /// Whether it normalises with the running means in training too, and leaves them as they are: what is frozen stays as it is. Default
    /// false.
    /// </summary>
    public bool IsFixed { get; set; }

    /// <summary>Normalises every vector of the batch.</summary>
    /// <param name="x_TQ">Vectors, float32 (T, Q), or (T, Q, …): as many vectors as the further axes have places, for each of T.</param>
    /// <returns>float32, of the same shape.</returns>
    public override Tensor forward(Tensor x_TQ)
    {
        var byBatch = training && !IsFixed && x_TQ.NumberOfElements / x_TQ.shape[1] > 1;
        // For the meta device libtorch has no batch normalisation.
        return x_TQ.device_type == DeviceType.META
            ? Define(x_TQ, byBatch)
            : nn.functional.batch_norm(x_TQ, runningMean, runningVariance, weight, bias, byBatch, Momentum, Epsilon);
    }

    /// <summary>The plain definition, which leaves the running means as they are.</summary>
    internal Tensor Define(Tensor x_TQ, bool byBatch)
    {
        using var scope = NewDisposeScope();
        long[] perWidth = [-1, .. Enumerable.Repeat(1L, (int)x_TQ.dim() - 2)];   // so that Q is the second axis
        long[] others = [0, .. Enumerable.Range(2, (int)x_TQ.dim() - 2)];
        var mean = byBatch ? x_TQ.mean(others, keepdim: true) : runningMean.view(perWidth);
        var centred_TQ = x_TQ.subtract(mean);
        var variance = byBatch ? centred_TQ.Squared().mean(others, keepdim: true) : runningVariance.view(perWidth);
        var y_TQ = centred_TQ.divide(variance.Plus(Epsilon).sqrt());
        if (weight is not null && bias is not null)
            y_TQ = y_TQ.multiply(weight.view(perWidth)).Plus(bias.view(perWidth));
        return y_TQ.MoveToOuterDisposeScope();
    }

    /// <summary>What it does in evaluation, y = x · scale + shift; the caller's dispose scope owns the result.</summary>
    internal (Tensor Scale_Q, Tensor Shift_Q) InEvaluation()
    {
        using var scope = NewDisposeScope();
        var scale_Q = runningVariance.Plus(Epsilon).rsqrt();
        if (weight is not null)
            scale_Q = scale_Q * weight;
        var shift_Q = -(runningMean * scale_Q);
        if (bias is not null)
            shift_Q = shift_Q.Plus(bias);
        return (scale_Q.MoveToOuterDisposeScope(), shift_Q.MoveToOuterDisposeScope());
    }
}
