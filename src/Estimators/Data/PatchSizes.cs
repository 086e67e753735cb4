using System.Numerics;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Chooses the side of a patch for images of any size.</summary>
internal static class PatchSizes
{
    // 512×512 in patches of 16. Whoever wants more says so by setting the patch size.
    private const int MostPatches = 1024;

    private const int LargestPatch = 16;
    private const int PatchesASide = 7;   // at least, where the image has as many pixels

    /// <summary>
    /// A side of an image beside which the other side fits, if it does beside any: the one that makes the fewest patches.
    /// </summary>
    /// <param name="patch">Side of a patch; null where it is to be chosen.</param>
    /// <param name="other">The other side of the image; null where it is not known.</param>
    /// <param name="halves">Whether convolutions halve the images, for which sides need not be multiples.</param>
    public static int FittingSide(int? patch, int? other, bool halves)
    {
        if (patch is { } given)
            return Math.Max(1, given);
        if (halves)
            return PatchesASide * LargestPatch;
        if (other is not > 0)
            return 1;
        var largest = LargestPatch;
        while (other % largest != 0)
            largest--;
        // Beside a single pixel the patches are pixels, and fewer than seven times the largest.
        return largest > PatchesASide ? PatchesASide * largest : 1;
    }

    /// <summary>
    /// The largest side, at most 16, that divides both sides of the image and gives at least 7 patches a side: 28 → 4, 32 → 4, 64 → 8, 224
    /// → 16.
    /// </summary>
    /// <param name="height">Height of the images in pixels.</param>
    /// <param name="width">Width of the images in pixels.</param>
    /// <param name="halves">Whether convolutions halve the images, for which it is a power of 2 and divides nothing: 30 → 4, 48 →
    /// 4.</param>
    /// <exception cref="ArgumentException">That makes more than 1,024 patches.</exception>
    public static int Choose(int height, int width, bool halves = false)
    {
        var patch = Math.Max(1, Math.Min(LargestPatch, Math.Min(height, width) / PatchesASide));
        if (halves)
            patch = 1 << BitOperations.Log2((uint)patch);
        while (!halves && (height % patch != 0 || width % patch != 0))
            patch--;

        var patches = (long)((height + patch - 1) / patch) * ((width + patch - 1) / patch);
        if (patches > MostPatches && halves)
        {
            throw new ArgumentException(
                $"Images of {width}×{height} pixels would become {patches:n0} tokens of {patch}×{patch} pixels "
                    + $"({nameof(ImageClassificationOptions.PatchSize)} is not set, and 16 is the most that is chosen); at most "
                    + $"{MostPatches:n0} train in reasonable time. Set {nameof(ImageClassificationOptions.ImageHeight)} and "
                    + $"{nameof(ImageClassificationOptions.ImageWidth)} for a column of pictures, which are resized, or set "
                    + $"{nameof(ImageClassificationOptions.PatchSize)}.");
        }
        if (patches > MostPatches)
        {
            throw new ArgumentException(
                $"Images of {width}×{height} pixels would be cut into {patches:n0} patches of {patch}×{patch}, the largest that divide "
                    + $"both sides ({nameof(ImageClassificationOptions.PatchSize)} is not set, and 16 is the most that is "
                    + $"chosen); at most {MostPatches:n0} patches train in reasonable time. Set "
                    + $"{nameof(ImageClassificationOptions.ImageHeight)} and {nameof(ImageClassificationOptions.ImageWidth)} to multiples "
                    + "of 16 for a column of pictures, which are resized, "
                    + $"or set {nameof(ImageClassificationOptions.PatchSize)}.");
        }
        return patch;
    }
}
