using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Which images are mirrored: each at random in the first epoch, and then in every other one, so that two epochs in a row show both sides
/// of each image (Keller Jordan, arXiv 2404.00498, "alternating flip").
/// </summary>
/// <param name="seed">Decides the first epoch.</param>
internal sealed class AlternatingFlips(long seed)
{
    private const int Stream = -3;   // no epoch's, nor one that the trainer takes

    // Of the image's row alone: whatever else is drawn, and wherever training is continued.
    private readonly long ofRows = SeededRandom.Create(seed, Stream).NextInt64();

    /// <summary>Whether an image is mirrored in an epoch.</summary>
    /// <param name="row">Number of its row in the data.</param>
    /// <param name="epoch">The epoch, from 0.</param>
    public bool IsMirrored(int row, int epoch) => (SeededRandom.Create(ofRows, row).Next(2) + epoch) % 2 == 1;
}
