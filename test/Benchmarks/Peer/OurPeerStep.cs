using Microsoft.ML.MoE.Optimizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>The library's layer with its optimizers.</summary>
internal sealed class OurPeerStep : IPeerStep
{
    /// <summary>The rate of all steps.</summary>
    public const double LearningRate = 1e-3;

    private readonly FusedAdamW retrieval;
    private readonly RowSparseAdamW tables;

    public OurPeerStep(Microsoft.ML.MoE.Layers.Peer layer)
    {
        Layer = layer;
        layer.train();
        retrieval = new FusedAdamW(ParameterGroup.ForModule(layer, weightDecay: 0));
        tables = new RowSparseAdamW(layer.Experts);
    }

    public Microsoft.ML.MoE.Layers.Peer Layer { get; }

    public IReadOnlyDictionary<string, Tensor> Retrieval =>
        Layer.named_parameters().Where(p => p.parameter.requires_grad).ToDictionary(p => p.name, p => (Tensor)p.parameter);

    public void Run(Tensor x_TD, Tensor gradient_TD)
    {
        using var scope = NewDisposeScope();
        Layer.forward(x_TD.detach().requires_grad_()).Output_TD.backward([gradient_TD]);
        retrieval.Step(LearningRate);
        tables.Step(LearningRate);
        retrieval.ZeroGrad();
        tables.ZeroGrad();
    }

    public void Dispose()
    {
        retrieval.Dispose();
        tables.Dispose();
        Layer.Dispose();
    }
}
