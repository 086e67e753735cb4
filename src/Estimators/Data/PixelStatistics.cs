using System.Collections;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Mean and standard deviation of each channel over many images, and the range of all.</summary>
/// <param name="column">The column of the images.</param>
/// <param name="byImage">Whether those of some of the images can be asked for, which takes 24 bytes a channel of each image.</param>
internal sealed class PixelStatistics(ImageColumn column, bool byImage = false)
{
    private readonly int pixels = column.Shape.Height * column.Shape.Width;
    private readonly List<ChannelSums> planes = [];   // channel after channel, of all images together or image after image
    private long images;

    /// <summary>Takes one image in.</summary>
    /// <param name="image">An image as <see cref="ImageReader"/> writes it.</param>
    public void Add(ReadOnlySpan<byte> image)
    {
        images++;
        for (var channel = 0; channel < column.Shape.Channels; channel++)
        {
            var sums = column.NumberType == torch.ScalarType.Byte
                ? ChannelSums.Of(image.Slice(channel * pixels, pixels))
                : ChannelSums.Of(MemoryMarshal.Cast<byte, float>(image).Slice(channel * pixels, pixels));
            if (byImage || images == 1)
                planes.Add(sums);
            else
                planes[channel] = planes[channel].With(sums);
        }
    }

    /// <summary>The normalisation to mean 0 and standard deviation 1. A channel that never varies is only shifted.</summary>
    /// <param name="members">The images that count; null for all.</param>
    public PixelNormalization ToNormalization(BitArray? members = null)
    {
        var (mean, deviation) = (new double[column.Shape.Channels], new double[column.Shape.Channels]);
        for (var channel = 0; channel < mean.Length; channel++)
        {
            var all = Planes(channel, members).Aggregate((sums, next) => sums.With(next));
            var count = (double)(members is null ? images : members.Cast<bool>().Count(member => member)) * pixels;
            mean[channel] = all.Sum / count;
            deviation[channel] = Math.Sqrt(Math.Max(0, (all.Squares / count) - (mean[channel] * mean[channel])));
        }
        return new(
            Array.ConvertAll(mean, m => (float)m),
            [.. deviation.Select((d, channel) => d > 1e-6 * Math.Max(1, Math.Abs(mean[channel])) ? (float)d : 1f)]);
    }

    /// <summary>What is black and what is white.</summary>
    /// <param name="members">The images that count; null for all.</param>
    public PixelRange ToRange(BitArray? members = null)
    {
        if (column.NumberType == torch.ScalarType.Byte)
            return new(byte.MinValue, byte.MaxValue);
        var all = Enumerable
            .Range(0, column.Shape.Channels)
            .SelectMany(channel => Planes(channel, members))
            .Aggregate((sums, next) => sums.With(next));
        return new(all.Least, all.Most);
    }

    private IEnumerable<ChannelSums> Planes(int channel, BitArray? members)
    {
        for (var image = 0; image < planes.Count / column.Shape.Channels; image++)
        {
            if (members?[image] != false)
                yield return planes[(image * column.Shape.Channels) + channel];
        }
    }
}
