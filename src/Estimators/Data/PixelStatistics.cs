using System.Runtime.InteropServices;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Mean and standard deviation of each channel over many images, and the range of all.</summary>
internal sealed class PixelStatistics(ImageColumn column)
{
    private readonly int pixels = column.Shape.Height * column.Shape.Width;
    private readonly double[] sums = new double[column.Shape.Channels];
    private readonly double[] squares = new double[column.Shape.Channels];
    private long images;
    private float least = float.PositiveInfinity;
    private float most = float.NegativeInfinity;

    /// <summary>Takes one image in.</summary>
    /// <param name="image">An image as <see cref="ImageReader"/> writes it.</param>
    public void Add(ReadOnlySpan<byte> image)
    {
        images++;
        for (var channel = 0; channel < sums.Length; channel++)
        {
            if (column.NumberType == torch.ScalarType.Byte)
                AddBytes(channel, image.Slice(channel * pixels, pixels));
            else
                AddFloats(channel, MemoryMarshal.Cast<byte, float>(image).Slice(channel * pixels, pixels));
        }
    }

    /// <summary>The normalisation to mean 0 and standard deviation 1. A channel that never varies is only shifted.</summary>
    public PixelNormalization ToNormalization()
    {
        var count = (double)images * pixels;
        var mean = Array.ConvertAll(sums, sum => sum / count);
        var deviation = mean.Select((m, channel) => Math.Sqrt(Math.Max(0, (squares[channel] / count) - (m * m))));
        return new(Array.ConvertAll(mean, m => (float)m), [.. deviation.Select((d, channel) => d > 1e-6 * Math.Max(1, Math.Abs(mean[channel])) ? (float)d : 1f)]);
    }

    /// <summary>What is black and what is white.</summary>
    public PixelRange ToRange() => column.NumberType == torch.ScalarType.Byte ? new(byte.MinValue, byte.MaxValue) : new(least, most);

    private void AddBytes(int channel, ReadOnlySpan<byte> plane)
    {
        long sum = 0, square = 0;
        foreach (var value in plane)
        {
            sum += value;
            square += value * value;
        }
        sums[channel] += sum;
        squares[channel] += square;
    }

    private void AddFloats(int channel, ReadOnlySpan<float> plane)
    {
        double sum = 0, square = 0;
        foreach (var value in plane)
        {
            sum += value;
            square += (double)value * value;
            least = Math.Min(least, value);
            most = Math.Max(most, value);
        }
        sums[channel] += sum;
        squares[channel] += square;
    }
}
