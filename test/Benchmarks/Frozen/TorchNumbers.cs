using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>Arithmetic whose numbers are held while libtorch reads them: TorchSharp's operators leave them to the collector.</summary>
internal static class TorchNumbers
{
    private static readonly Scalar One = 1L.ToScalar();

    /// <summary>x + y.</summary>
    public static Tensor Plus(this Tensor x, Tensor y) => x.add(y, One);

    /// <summary>x · number.</summary>
    public static Tensor Times(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.mul(scalar);
    }
}
