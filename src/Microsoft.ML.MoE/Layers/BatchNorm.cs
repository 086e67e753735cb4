// Batch normalisation of vectors. Ioffe and Szegedy, arXiv 1502.03167.
//
// Axes: T = vectors of the batch, Q = width.

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

    /// <summary>Normalises every vector of the batch.</summary>
    /// <param name="x_TQ">Vectors, float32 (T, Q).</param>
    /// <returns>float32 (T, Q).</returns>
    public override Tensor forward(Tensor x_TQ) =>
        nn.functional.batch_norm(x_TQ, runningMean, runningVariance, weight, bias, training && x_TQ.shape[0] > 1, Momentum, Epsilon);
}
