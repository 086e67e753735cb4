using Microsoft.ML.MoE.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Experts;

/// <summary>One forward and backward pass of a layer on fixed tokens; the gradients are dropped, as an optimizer's step would.</summary>
internal sealed class LayerStep : IDisposable
{
    private readonly nn.Module module;
    private readonly Func<Tensor, Tensor> forward;
    private readonly Tensor x_TD;
    private readonly Tensor gradient_TD;

    /// <param name="module">Whose gradients are computed.</param>
    /// <param name="forward">The forward pass: tokens to outputs.</param>
    /// <param name="inputs">Tokens and the gradient of the outputs; disposed with this.</param>
    public LayerStep(nn.Module module, Func<Tensor, Tensor> forward, (Tensor X_TD, Tensor Gradient_TD) inputs)
    {
        this.module = module;
        this.forward = forward;
        (x_TD, gradient_TD) = inputs;
    }

    /// <summary>A step of the whole sparse layer.</summary>
    public static LayerStep Of(MixtureOfExperts layer, ExpertsWork work) =>
        new(layer, x_TD => layer.forward(x_TD).Output_TD, work.Inputs());

    /// <summary>A step of the layer as one writes it first, with the same parameters.</summary>
    public static LayerStep OfNaive(MixtureOfExperts layer, ExpertsWork work) =>
        new(layer, new NaiveExperts(layer, work.ExpertsPerToken).Forward, work.Inputs());

    /// <summary>Forward and backward.</summary>
    public void Run()
    {
        using var scope = NewDisposeScope();
        forward(x_TD).backward([gradient_TD]);
        Clear();
    }

    /// <summary>Compares outputs and all gradients with those of another step on the same parameters.</summary>
    /// <param name="other">Another way to compute the same.</param>
    /// <param name="tolerance">Largest difference, as a multiple of the largest number of each tensor.</param>
    /// <exception cref="BenchmarkCheckException">Something differs by more.</exception>
    public void CheckAgainst(LayerStep other, double tolerance)
    {
        using var scope = NewDisposeScope();
        var (ours, theirs) = (Results(), other.Results());
        foreach (var (name, expected) in theirs)
        {
            var difference = ((ours[name] - expected).abs().max() / expected.abs().max()).to_type(ScalarType.Float32).item<float>();
            if (!(difference <= tolerance))
                throw new BenchmarkCheckException($"{name} differs by {difference:g3} of its largest number.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        x_TD.Dispose();
        gradient_TD.Dispose();
    }

    private Dictionary<string, Tensor> Results()
    {
        var output_TD = forward(x_TD);
        output_TD.backward([gradient_TD]);
        var results = module.named_parameters().ToDictionary(p => $"The gradient of {p.name}", p => p.parameter.grad!.clone());
        results.Add("The output", output_TD.detach());
        results.Add("The gradient of the tokens", x_TD.grad!.clone());
        Clear();
        return results;
    }

    private void Clear()
    {
        module.zero_grad(set_to_none: true);
        x_TD.grad = null;
    }
}
