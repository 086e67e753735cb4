using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>Copies of a module's parameters, by their names.</summary>
internal sealed class TorchWeights : IDisposable
{
    private readonly Dictionary<string, Parameter> parameters;

    /// <param name="module">Whose parameters are copied; stays the caller's.</param>
    public TorchWeights(nn.Module module)
    {
        using var noGrad = no_grad();
        parameters = module.named_parameters()
            .ToDictionary(pair => pair.name, pair => new Parameter(pair.parameter.detach().clone().DetachFromDisposeScope()));
        foreach (var parameter in parameters.Values)
            parameter.DetachFromDisposeScope();
    }

    public IReadOnlyDictionary<string, Parameter> All => parameters;

    public Parameter this[string name] => parameters[name];

    public TorchLinear Linear(string name) => new(this[$"{name}.weight"], this[$"{name}.bias"]);

    public TorchNorm Norm(string name) => new(this[$"{name}.weight"], this[$"{name}.bias"]);

    public TorchFeedForward FeedForward(string name) => new(Linear($"{name}.expand"), Linear($"{name}.contract"));

    public TorchAttention Attention(string name, int heads) => new(Linear($"{name}.queryKeyValue"), Linear($"{name}.output"), heads);

    public void Dispose()
    {
        foreach (var parameter in parameters.Values)
            parameter.Dispose();
    }
}
