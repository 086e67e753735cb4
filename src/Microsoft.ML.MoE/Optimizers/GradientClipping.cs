// Clipping by global norm: where the norm of all gradients together exceeds a limit, all are scaled down to it. Pascanu et al., arXiv
// 1211.5063, algorithm 1.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Runtime;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// The global norm of gradients, and what to divide them by to keep it within a limit. Nothing here waits for the device.
/// </summary>
internal static class GradientClipping
{
    private const double Epsilon = 1e-6;   // as in PyTorch's clip_grad_norm_

    /// <summary>The Euclidean norm of all gradients together.</summary>
    /// <param name="parameters">Parameters on one device, each once; those without a gradient count as 0.</param>
    /// <returns>A float32 scalar on that device, or on the CPU where no parameter has a gradient.</returns>
    public static Tensor Norm(IEnumerable<Parameter> parameters)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var gradients = parameters.Select(parameter => parameter.grad).OfType<Tensor>().ToArray();
        var norm = gradients.Length == 0 ? zeros([], ScalarType.Float32) : TorchScripts.GlobalNorm(gradients);
        return norm.MoveToOuterDisposeScope();
    }

    /// <summary>What to divide every gradient by: 1 where the norm is within the limit, else norm / limit.</summary>
    /// <param name="norm">From <see cref="Norm"/>.</param>
    /// <param name="maxNorm">The limit, above 0.</param>
    /// <returns>A float32 scalar on the norm's device, at least 1; NaN for a norm that is NaN.</returns>
    /// <exception cref="ArgumentException">The limit is not above 0.</exception>
    public static Tensor Divisor(Tensor norm, double maxNorm)
    {
        OptionChecks.Above(0, maxNorm, nameof(maxNorm));
        using var scope = NewDisposeScope();
        return norm.Plus(Epsilon).DividedBy(maxNorm).Clamp(min: 1).MoveToOuterDisposeScope();
    }
}
