using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>Layer normalisation by libtorch.</summary>
internal sealed class TorchNorm(Parameter gamma_D, Parameter beta_D)
{
    private readonly long[] shape = [gamma_D.shape[0]];

    public Tensor Apply(Tensor x) => nn.functional.layer_norm(x, shape, gamma_D, beta_D, 1e-6);
}
