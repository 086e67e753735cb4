using System.Collections;
using Microsoft.ML.MoE.Augmentation;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Examples that are cut anew, each time they are shuffled, out of pictures that lie in memory at their own size.</summary>
internal sealed class CroppedImages : IImageExamples
{
    private readonly ImageColumn column;
    private readonly OriginalPictures pictures;
    private readonly RandomResizedCrop crop;
    private readonly int[] indices;

    public CroppedImages(ImageColumn column, OriginalPictures pictures, RandomResizedCrop crop)
        : this(column, pictures, crop, [.. Enumerable.Range(0, pictures.Count)])
    {
    }

    private CroppedImages(ImageColumn column, OriginalPictures pictures, RandomResizedCrop crop, int[] indices) =>
        (this.column, this.pictures, this.crop, this.indices) = (column, pictures, crop, indices);

    /// <inheritdoc/>
    public int Count => indices.Length;

    /// <summary>Reads all examples in their own order, as they are without crops.</summary>
    public IEnumerable<ImageExample> InOrder(CancellationToken cancellationToken) => Read(indices, crops: null, cancellationToken);

    /// <inheritdoc/>
    public IEnumerable<ImageExample> Shuffled(Random random, int skip, int[]? times, CancellationToken cancellationToken)
    {
        var crops = PictureCrops.Of(crop, random);
        int[] order = times is null ? [.. indices] : [.. indices.SelectMany((index, i) => Enumerable.Repeat(index, times[i]))];
        random.Shuffle(order);
        return Read(order[Math.Min(skip, order.Length)..], crops, cancellationToken);
    }

    /// <inheritdoc/>
    public IImageExamples Where(BitArray members) => new CroppedImages(column, pictures, crop, [.. indices.Where((_, i) => members[i])]);

    private IEnumerable<ImageExample> Read(int[] order, PictureCrops? crops, CancellationToken cancellationToken)
    {
        var resizer = new PictureResizer(column.Shape, column.Resizing);
        var image = new byte[column.ByteCount];
        foreach (var index in order)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Write(index);
            yield return pictures.ExampleOf(index) with { Pixels = image };
        }

        void Write(int index)
        {
            var picture = pictures[index];
            resizer.Write(picture, crops?.Draw(pictures.ExampleOf(index).Row, picture.Height, picture.Width), image);
        }
    }
}
