// Positions as rotations of queries and keys. RoFormer, Su et al., arXiv 2104.09864, section 3.2.2.
//
//   Pair a of a vector at position p turns by the angle p · θ_a, θ_a = 10000^(−2a/A). What a query and a key say to each other then
//   depends on how far apart they are.
//
// Axes: … = any leading axes, L = positions, A = width of a head; its pairs are (a, a + A/2).

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>Turns the vectors of a head by their positions. Has nothing to train, and nothing that a weight file keeps.</summary>
internal sealed class RotaryPositions : nn.Module<Tensor, Tensor>
{
    private const double Base = 10_000;

    private readonly Tensor cosine;
    private readonly Tensor sine;

    /// <summary>Makes the angles.</summary>
    /// <param name="headWidth">Width A of a head, even.</param>
    /// <param name="length">Number of positions.</param>
    /// <param name="device">Where they lie; CPU by default.</param>
    /// <exception cref="ArgumentException">The width is odd.</exception>
    public RotaryPositions(int headWidth, int length, Device? device = null) : base(nameof(RotaryPositions))
    {
        if (headWidth < 2 || headWidth % 2 != 0)
            throw new ArgumentException(
                $"The width of a head is {headWidth}; it must be even, as rotations are of pairs.", nameof(headWidth));
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var frequencies_A = Enumerable.Range(0, headWidth / 2).Select(pair => Math.Pow(Base, -2.0 * pair / headWidth)).ToArray();
        var angles_LA = outer(Range(length, float64, device), tensor(frequencies_A, float64, device));
        cosine = cat([angles_LA, angles_LA], 1).cos().to_type(float32).DetachFromDisposeScope();
        sine = cat([-angles_LA, angles_LA], 1).sin().to_type(float32).DetachFromDisposeScope();
        register_buffer(nameof(cosine), cosine, persistent: false);
        register_buffer(nameof(sine), sine, persistent: false);
    }

    /// <summary>Turns vectors at the positions 0 to L − 1.</summary>
    /// <param name="x">(…, L, A).</param>
    public override Tensor forward(Tensor x) => forward(x, 0);

    /// <summary>Turns vectors at the positions from <paramref name="first"/> on.</summary>
    /// <param name="x">(…, L, A), float32 or bfloat16.</param>
    /// <param name="first">Position of the first.</param>
    /// <returns>The same shape and type.</returns>
    public Tensor forward(Tensor x, long first)
    {
        using var scope = NewDisposeScope();
        var cos_LA = cosine.narrow(0, first, x.shape[^2]).to_type(x.dtype);
        var sin_LA = sine.narrow(0, first, x.shape[^2]).to_type(x.dtype);
        // A pair's numbers change places; the sine has the signs.
        return (x * cos_LA).Plus(x.roll(x.shape[^1] / 2, -1) * sin_LA).MoveToOuterDisposeScope();
    }

    /// <summary>The rotations in a plan.</summary>
    internal RotaryTurns ToTurns() => new(cosine, sine);
}
