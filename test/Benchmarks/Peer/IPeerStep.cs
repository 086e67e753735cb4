using TorchSharp;

namespace Benchmarks.Peer;

/// <summary>A training step of a layer: forward, backward, optimizer.</summary>
internal interface IPeerStep : IDisposable
{
    /// <summary>The parameters but the tables, by name.</summary>
    IReadOnlyDictionary<string, torch.Tensor> Retrieval { get; }

    /// <summary>Makes a step.</summary>
    /// <param name="x_TD">Tokens.</param>
    /// <param name="gradient_TD">Gradient of the outputs.</param>
    void Run(torch.Tensor x_TD, torch.Tensor gradient_TD);
}
