// What the benchmarks of the sparse layer have in common.
//
// Axes: T = tokens, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token.

using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Experts;

/// <summary>Sizes of a sparse layer and the tokens it gets.</summary>
/// <param name="Tokens">T.</param>
/// <param name="Width">D.</param>
/// <param name="HiddenWidth">F.</param>
/// <param name="Experts">E.</param>
/// <param name="ExpertsPerToken">K.</param>
internal sealed record ExpertsWork(int Tokens, int Width, int HiddenWidth, int Experts, int ExpertsPerToken)
{
    /// <summary>The size of the figures in the README: as much arithmetic as a dense layer on 8192 tokens.</summary>
    public static ExpertsWork Standard { get; } = new(Tokens: 4096, Width: 512, HiddenWidth: 2048, Experts: 16, ExpertsPerToken: 2);

    /// <summary>
    /// What forward and backward take: three products for each matrix, whose weights are read twice and whose gradients are written once;
    /// the tokens and their outputs, and the gradients of both.
    /// </summary>
    /// <param name="type">Type of weights, gradients and products.</param>
    public BenchmarkWork Step(ScalarType type)
    {
        var (pairs, weights) = ((double)Tokens * ExpertsPerToken, 2.0 * Experts * Width * HiddenWidth);
        return new(
            3 * ((pairs * 2 * Width * HiddenWidth) + ((double)Tokens * Width * Experts)),
            (3 * weights * (type == ScalarType.BFloat16 ? 2 : 4)) + (4.0 * Tokens * Width * sizeof(float)));
    }

    /// <summary>
    /// The whole layer: router, dispatch, experts, combination. Every pair is computed: nothing is dropped, so that the work is what
    /// the sizes say.
    /// </summary>
    /// <param name="type">Type of the experts' weights, gradients and products. The router is float32.</param>
    public MixtureOfExperts Layer(ScalarType type)
    {
        using var seed = new SeedScope(1, CPU);
        var layer = new MixtureOfExperts(Width, new()
        {
            Router = new() { Experts = Experts, ExpertsPerToken = ExpertsPerToken, NoiseScale = 0 },
            ExpertWidth = HiddenWidth,
            TrainingCapacity = null,
        }, type);
        _ = layer.named_children().Single(child => child.name == "experts").module.to(type);
        return layer;
    }

    /// <summary>Random tokens (T, D) with room for a gradient, and the gradient of the outputs.</summary>
    public (Tensor X_TD, Tensor Gradient_TD) Inputs(int tokensFactor = 1, ScalarType type = ScalarType.Float32)
    {
        using var generator = new Generator(2);
        using var scope = NewDisposeScope();
        var x_TD = randn([Tokens * tokensFactor, Width], generator: generator).to_type(type).requires_grad_();
        var gradient_TD = randn([Tokens * tokensFactor, Width], generator: generator).to_type(type);
        return (x_TD.DetachFromDisposeScope(), gradient_TD.DetachFromDisposeScope());
    }
}
