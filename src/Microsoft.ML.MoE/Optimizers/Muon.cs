// Muon, Keller Jordan et al. (2024), https://kellerjordan.github.io/posts/muon: the update of a matrix is its momentum with all singular
// values brought close to 1, so that no direction is learned much faster than another.
//
//   m <- μ m + (1 - μ) g        u = μ m + (1 - μ) g        (Nesterov)
//   u = X S Vᵀ  ->  o ≈ X Vᵀ    by five steps of  Y <- a Y + (b A + c A²) Y,  A = Y Yᵀ,  from Y = u / ‖u‖
//   w <- (1 - η λ) w - η √max(1, O / I) o
//
// The steps bring singular values to between 0.68 and 1.21 and not to 1, those below 0.002 of ‖u‖ to less: a, b and c make small values
// grow fast. Momentum and the factor, by the sides of a matrix, are those of github.com/KellerJordan/Muon.
//
// Axes: O = outputs, I = inputs, B = matrices of a batch, S = their shorter side, L = the longer one.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// Muon, for matrices between hidden layers alone. All matrices of a group that have the same two sides, whichever is first, are
/// orthogonalised in one batch. Gradients are overwritten. Parameters without a gradient are left alone. Owns its momenta: dispose it.
/// Nothing in a step waits for the device.
/// </summary>
internal sealed class Muon : StatefulOptimizer
{
    // On a CPU that multiplies bfloat16, sides of 128 take a fifth of the time, of 64 two thirds to all of it, smaller ones more.
    private const long SmallestInBFloat16 = 64;

    private readonly Dictionary<IntPtr, HiddenMatrices> matrices;
    private readonly double momentum;
    private readonly Precision precision;

    /// <summary>Makes an optimizer with zero momenta.</summary>
    /// <param name="groups">What is trained; each parameter once.</param>
    /// <param name="matrices">What each parameter is made of.</param>
    /// <param name="momentum">Momentum μ, 0 to below 1.</param>
    /// <param name="precision">Type of the products that orthogonalise. By default bfloat16 where that is faster.</param>
    /// <exception cref="ArgumentException">An option is out of range, a parameter or a name appears twice, or a parameter is not among the
    /// matrices.</exception>
    public Muon(
        IEnumerable<ParameterGroup> groups, IEnumerable<HiddenMatrices> matrices, double momentum = 0.95,
        Precision precision = Precision.Auto)
        : base(CreateStates(groups, momentum))
    {
        this.matrices = matrices.ToDictionary(each => each.Weight.Handle);
        (this.momentum, this.precision) = (momentum, precision);
        if (Parameters.FirstOrDefault(parameter => !this.matrices.ContainsKey(parameter.Handle)) is { } other)
            throw new ArgumentException(
                $"A parameter of shape ({string.Join(", ", other.shape)}) is not among the matrices.", nameof(matrices));
    }

    private protected override void Update(
        ParameterGroup group, ParameterStates.ActiveParameters active, double learningRate, Tensor? gradientDivisor, Tensor? skip)
    {
        var (parameters, gradients) = (active.Parameters, active.Gradients);
        var skipped = skip ?? zeros([], ScalarType.Float32, parameters[0].device);
        TorchScripts.MuonMomentum(gradients, active.Moments(0), momentum, gradientDivisor, skipped);

        var parts = parameters.Select((parameter, i) => (Shape: matrices[parameter.Handle], Index: i));
        foreach (var alike in parts.GroupBy(part => Sides(part.Shape)))
        {
            using var scope = NewDisposeScope();
            var members = alike.ToArray();
            var u_BSL = cat(members.Select(member => AsBatch(gradients[member.Index], member.Shape)).ToArray(), 0);
            var o_BSL = Orthogonalize(u_BSL);
            var updates = o_BSL
                .split(members.Select(member => member.Shape.Count).ToArray())
                .Zip(members, (batch, member) => AsUpdate(batch, member.Shape))
                .ToArray();
            TorchScripts.MuonUpdate(
                members.Select(member => parameters[member.Index]).ToArray(), updates, learningRate, group.WeightDecay, skipped);
        }
    }

    /// <summary>The orthogonal factors of matrices, nearly.</summary>
    /// <param name="u_BSL">Matrices, float32 (B, S, L), no side longer than L.</param>
    /// <returns>Float32 (B, S, L).</returns>
    private Tensor Orthogonalize(Tensor u_BSL)
    {
        var type = precision == Precision.Auto && !IsBFloat16Faster(u_BSL) ? float32 : precision.Resolve(u_BSL.device);
        return TorchScripts.NewtonSchulz(u_BSL, type).to_type(float32);
    }

    private static bool IsBFloat16Faster(Tensor u_BSL) => u_BSL.device_type != DeviceType.CPU || u_BSL.shape[1] >= SmallestInBFloat16;

    private static (long Shorter, long Longer) Sides(HiddenMatrices shape) =>
        (Math.Min(shape.Outputs, shape.Inputs), Math.Max(shape.Outputs, shape.Inputs));

    private static Tensor AsBatch(Tensor gradient, HiddenMatrices shape)
    {
        var matrices_BOI = shape.Split(gradient);
        return shape.Outputs > shape.Inputs ? matrices_BOI.transpose(1, 2) : matrices_BOI;
    }

    private static Tensor AsUpdate(Tensor batch_BSL, HiddenMatrices shape) =>
        shape.Outputs > shape.Inputs
            ? shape.Join(batch_BSL.transpose(1, 2)).Times(Math.Sqrt((double)shape.Outputs / shape.Inputs))
            : shape.Join(batch_BSL);

    private static ParameterStates CreateStates(IEnumerable<ParameterGroup> groups, double momentum)
    {
        OptionChecks.AtLeastAndBelow(0, 1, momentum, nameof(momentum));
        return new ParameterStates(groups, ["momentum"], countsSteps: false);
    }
}
