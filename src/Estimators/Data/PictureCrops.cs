using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// The parts that are cut out of pictures in one pass over them, at the pictures' own size. Each row has its own random numbers, so that a
/// pass that begins in the middle cuts the same ones.
/// </summary>
/// <param name="crop">What a part is like.</param>
/// <param name="seed">Of this pass.</param>
internal sealed class PictureCrops(RandomResizedCrop crop, long seed)
{
    /// <summary>Those of a pass whose order is drawn from the same random numbers afterwards.</summary>
    public static PictureCrops? Of(RandomResizedCrop? crop, Random random) => crop is null ? null : new(crop, random.NextInt64());

    /// <summary>The part of a row's picture.</summary>
    /// <param name="row">The row's number in the data.</param>
    /// <param name="height">The picture's height in pixels.</param>
    /// <param name="width">Its width.</param>
    public ImageBox Draw(int row, int height, int width) => crop.Draw(height, width, SeededRandom.Create(seed, row));
}
