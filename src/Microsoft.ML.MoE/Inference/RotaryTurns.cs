// Positions as rotations of queries and keys. RoFormer, arXiv 2104.09864, section 3.2.2.
//
// Axes: L = positions, A = width of a head; its pairs are (a, a + A/2).

using TorchSharp;

namespace Microsoft.ML.MoE.Inference;

/// <summary>The angles of positions.</summary>
/// <param name="cosine_LA">Their cosines, float32 (L, A).</param>
/// <param name="sine_LA">Their sines, those of the first half with the other sign, float32 (L, A).</param>
internal sealed unsafe class RotaryTurns(torch.Tensor cosine_LA, torch.Tensor sine_LA)
{
    private readonly int headWidth = (int)cosine_LA.shape[1];
    private readonly PinnedFloats cosines = Numbers.Of(cosine_LA);
    private readonly PinnedFloats sines = Numbers.Of(sine_LA);

    /// <summary>Turns the heads of a token.</summary>
    /// <param name="heads">How many.</param>
    /// <param name="x">Their vectors, one after the other.</param>
    /// <param name="position">The token's position.</param>
    public void Turn(float* x, int heads, int position)
    {
        float* cosine = cosines.Address + ((nint)position * headWidth), sine = sines.Address + ((nint)position * headWidth);
        var half = headWidth / 2;
        for (var head = 0; head < heads; head++, x += headWidth)
        {
            for (var a = 0; a < half; a++)
            {
                var (first, second) = (x[a], x[a + half]);
                x[a] = (first * cosine[a]) + (second * sine[a]);
                x[a + half] = (second * cosine[a + half]) + (first * sine[a + half]);
            }
        }
    }
}
