// A dense network becomes a sparse one: every expert begins as the dense layer in its place, the routers are new. Komatsuzaki et al.,
// "Sparse Upcycling", arXiv 2212.05055, section 3.
//
// Axes: E = experts, D = model width, F = hidden width.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>Which tensor of a dense network one of a sparse network begins as, and how.</summary>
/// <param name="Name">The dense network's name of it; null for a router, which is new.</param>
/// <param name="Experts">E copies of it; null where it is taken over as it is.</param>
internal readonly record struct Upcycling(string? Name, int? Experts = null)
{
    /// <summary>What the tensors of experts are called.</summary>
    private static readonly (string Expert, string Dense)[] ExpertNames =
    [
        ("experts.weight1", "expand.weight"), ("experts.bias1", "expand.bias"),
        ("experts.weight2", "contract.weight"), ("experts.bias2", "contract.bias"),
    ];

    /// <summary>The origin of a tensor of a mixture.</summary>
    /// <param name="dense">The dense network's name of the layer in its place.</param>
    /// <param name="rest">The name within the mixture.</param>
    /// <param name="experts">E.</param>
    public static Upcycling OfMixture(string dense, string rest, int experts)
    {
        foreach (var (expert, name) in ExpertNames)
        {
            if (rest == expert)
                return new($"{dense}.{name}", experts);
        }
        return new(null);
    }

    /// <summary>The experts' tensor.</summary>
    /// <param name="value">The dense tensor: a weight (O, I) or a bias (O).</param>
    /// <param name="noise">Standard deviation of what is added to every weight, as a multiple of the deviation of the dense
    /// weights.</param>
    /// <returns>(E, I, O) or (E, O); the caller's dispose scope owns it.</returns>
    public Tensor Grow(Tensor value, double noise)
    {
        using var scope = NewDisposeScope();
        var one = value.dim() == 2 ? value.T : value;
        var all = one.unsqueeze(0).repeat([Experts!.Value, .. Enumerable.Repeat(1L, (int)one.dim())]);
        if (noise > 0 && value.dim() == 2)
        {
            var random = Draws.Normal(empty_like(all), 0, noise);
            all = all.Plus(random.multiply(value.std()));
        }
        return all.MoveToOuterDisposeScope();
    }
}
