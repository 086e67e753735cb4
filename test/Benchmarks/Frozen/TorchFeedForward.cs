using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>W2·gelu(W1·x + b1) + b2.</summary>
internal sealed record TorchFeedForward(TorchLinear Expand, TorchLinear Contract)
{
    public Tensor Apply(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Contract.Apply(nn.functional.gelu(Expand.Apply(x))).MoveToOuterDisposeScope();
    }
}
