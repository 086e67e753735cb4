using System.Drawing;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How picture files become pixels.</summary>
/// <param name="Background">What shows through where a picture is transparent.</param>
/// <param name="MaxPixels">Pixels that a picture may have, read before anything is decoded.</param>
/// <param name="AcceptIncomplete">Whether a picture is taken of which a part is missing or damaged.</param>
internal sealed record PictureDecoding(Color Background, long MaxPixels, bool AcceptIncomplete)
{
    /// <summary>Pixels that a picture may have where nobody says: 100 megapixels take 400 MB.</summary>
    public const long UsualPixels = 100_000_000;

    /// <summary>The most that can be asked for: an array holds no more than 2 GiB, and a pixel takes 4 bytes.</summary>
    public const long MostPixels = 500_000_000;

    /// <summary>On white, as a page shows a picture.</summary>
    public static PictureDecoding Usual { get; } = new(Color.White, UsualPixels, AcceptIncomplete: false);
}
