using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>y = x·Wᵀ + b by libtorch.</summary>
internal sealed record TorchLinear(Parameter Weight_OI, Parameter Bias_O)
{
    public Tensor Apply(Tensor x) => nn.functional.linear(x, Weight_OI, Bias_O);
}
