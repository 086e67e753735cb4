using System.Collections;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Mean and standard deviation of each channel over many images, and the range of all. Keeps some numbers of each image, so that those set apart for validation need not count.</summary>
internal sealed class PixelStatistics(ImageColumn column)
{
    private readonly int pixels = column.Shape.Height * column.Shape.Width;
    private readonly List<ChannelSums> planes = [];   // image after image, channel after channel

    /// <summary>Takes one image in.</summary>
    /// <param name="image">An image as <see cref="ImageReader"/> writes it.</param>
    public void Add(ReadOnlySpan<byte> image)
    {
        for (var channel = 0; channel < column.Shape.Channels; channel++)
        {
            planes.Add(column.NumberType == torch.ScalarType.Byte
                ? ChannelSums.Of(image.Slice(channel * pixels, pixels))
                : ChannelSums.Of(MemoryMarshal.Cast<byte, float>(image).Slice(channel * pixels, pixels)));
        }
    }

    /// <summary>The normalisation to mean 0 and standard deviation 1. A channel that never varies is only shifted.</summary>
    /// <param name="members">The images that count; null for all.</param>
    public PixelNormalization ToNormalization(BitArray? members = null)
    {
        var (mean, deviation) = (new double[column.Shape.Channels], new double[column.Shape.Channels]);
        for (var channel = 0; channel < mean.Length; channel++)
        {
            var (sum, squares, images) = (0.0, 0.0, 0L);
            foreach (var plane in Planes(channel, members))
            {
                sum += plane.Sum;
                squares += plane.Squares;
                images++;
            }
            var count = (double)images * pixels;
            mean[channel] = sum / count;
            deviation[channel] = Math.Sqrt(Math.Max(0, (squares / count) - (mean[channel] * mean[channel])));
        }
        return new(Array.ConvertAll(mean, m => (float)m), [.. deviation.Select((d, channel) => d > 1e-6 * Math.Max(1, Math.Abs(mean[channel])) ? (float)d : 1f)]);
    }

    /// <summary>What is black and what is white.</summary>
    /// <param name="members">The images that count; null for all.</param>
    public PixelRange ToRange(BitArray? members = null)
    {
        if (column.NumberType == torch.ScalarType.Byte)
            return new(byte.MinValue, byte.MaxValue);
        var all = Enumerable.Range(0, column.Shape.Channels).SelectMany(channel => Planes(channel, members)).ToArray();
        return new(all.Min(plane => plane.Least), all.Max(plane => plane.Most));
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
