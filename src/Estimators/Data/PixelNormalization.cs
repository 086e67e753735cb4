// From the numbers of a column to the model's input: per channel, minus the training data's mean, over its standard deviation.
//
// Axes: N = images, C = channels, H = height, W = width.

using System.Globalization;
using System.Numerics;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Per-channel normalisation, a part of the model: x = (number − mean) / deviation. Measured on the training data, so that a column may
/// hold bytes, numbers from 0 to 1, or whatever else the pipeline made of the pixels.
/// </summary>
/// <param name="Mean">Mean of each channel, in the column's units.</param>
/// <param name="StandardDeviation">Standard deviation of each channel in the same units, above 0.</param>
internal sealed record PixelNormalization(float[] Mean, float[] StandardDeviation)
{
    // Pixels in other units are off by a factor of 128 or 255. Photographs of one kind differ from those of another by less than this.
    private const double LargeShift = 3;   // deviations
    private const double LargeScale = 4;

    /// <summary>Normalises a batch.</summary>
    /// <param name="numbers_NCHW">The column's numbers, uint8 or float32, on the CPU.</param>
    /// <param name="device">Where the result goes.</param>
    /// <returns>float32 (N, C, H, W).</returns>
    public Tensor Apply(Tensor numbers_NCHW, Device device)
    {
        if (device.type == DeviceType.CPU)
            return ApplyOnThisThread(numbers_NCHW);

        using var scope = NewDisposeScope();
        var mean_C11 = tensor(Mean, device: device).view(-1, 1, 1);
        var scale_C11 = tensor(Array.ConvertAll(StandardDeviation, deviation => 1 / deviation), device: device).view(-1, 1, 1);

        // Bytes travel as bytes, a quarter of the floats they become.
        var x_NCHW = numbers_NCHW.to(device).to_type(ScalarType.Float32);
        return ((x_NCHW - mean_C11) * scale_C11).MoveToOuterDisposeScope();
    }

    /// <summary>Warns where this normalisation is kept for pixels of which one channel has a far other mean or deviation.</summary>
    /// <param name="measured">The normalisation that these pixels would have got.</param>
    /// <param name="option">The option with the model that this normalisation is of.</param>
    /// <param name="channel">Receives the warning.</param>
    public void WarnOfOtherPixels(PixelNormalization measured, string option, IChannel channel)
    {
        if (OtherPixels(measured, "of the training data", option) is { } warning)
            channel.Warning(MessageSensitivity.None, warning);
    }

    /// <summary>What there is to say of pixels of which one channel has a far other mean or deviation; null where none has.</summary>
    /// <param name="measured">The normalisation that these pixels would have got.</param>
    /// <param name="whose">Which pixels they are.</param>
    /// <param name="trained">What this normalisation is of.</param>
    public string? OtherPixels(PixelNormalization measured, string whose, string trained)
    {
        for (var i = 0; i < measured.Mean.Length; i++)
        {
            var (mean, deviation) = (Mean[i], StandardDeviation[i]);
            var scale = measured.StandardDeviation[i] / deviation;
            if (Math.Abs(measured.Mean[i] - mean) <= LargeShift * deviation && scale <= LargeScale && scale >= 1 / LargeScale)
                continue;
            return string.Create(
                CultureInfo.InvariantCulture,
                $"The pixels {whose} have the mean {measured.Mean[i]:0.###} and the deviation "
                    + $"{measured.StandardDeviation[i]:0.###} in channel {i}; those that {trained} was trained on had {mean:0.###} and "
                    + $"{deviation:0.###}. Its normalisation is kept: see whether the column holds pixels in the same units.");
        }
        return null;
    }

    // On the CPU without libtorch's operators. They would run on several threads, and the thread that prepares batches would get threads of
    // its own: OpenMP then has more threads than there are cores, and lets all of them, those of the training too, fall asleep after each
    // operation instead of waiting a moment for the next one.
    private unsafe Tensor ApplyOnThisThread(Tensor numbers_NCHW)
    {
        using var scope = NewDisposeScope();
        var contiguous_NCHW = numbers_NCHW.contiguous();
        var normal_NCHW = empty(numbers_NCHW.shape, ScalarType.Float32);
        var address = Memory.Address(contiguous_NCHW);
        var target = Memory.Floats(normal_NCHW);
        var pixels = numbers_NCHW.shape[2] * numbers_NCHW.shape[3];
        Write(address, numbers_NCHW.dtype, numbers_NCHW.shape[0], pixels, target);
        GC.KeepAlive(contiguous_NCHW);
        return normal_NCHW.MoveToOuterDisposeScope();
    }

    /// <summary>Normalises images on this thread.</summary>
    /// <param name="source">The first number of the first image.</param>
    /// <param name="type">Type of the numbers, uint8 or float32.</param>
    /// <param name="images">How many images.</param>
    /// <param name="pixels">Pixels of an image.</param>
    /// <param name="target">Receives them.</param>
    public unsafe void Write(void* source, ScalarType type, long images, long pixels, float* target)
    {
        for (var plane = 0L; plane < images * Mean.Length; plane++)
        {
            var (start, channel) = (plane * pixels, plane % Mean.Length);
            var (mean, scale) = (Mean[channel], 1 / StandardDeviation[channel]);
            if (type == ScalarType.Byte)
                Normalise((byte*)source + start);
            else
                Normalise((float*)source + start);

            void Normalise<T>(T* numbers) where T : unmanaged, INumberBase<T>
            {
                for (var i = 0L; i < pixels; i++)
                    target[start + i] = (float.CreateTruncating(numbers[i]) - mean) * scale;
            }
        }
    }

    /// <summary>Checks the values of a file.</summary>
    /// <exception cref="InvalidDataException">They are not those of this many channels.</exception>
    public void Validate(int channels)
    {
        if (Mean?.Length != channels
            || StandardDeviation?.Length != channels
            || !Mean.All(float.IsFinite)
            || !StandardDeviation.All(d => float.IsFinite(d) && d > 0))
            throw new InvalidDataException($"The pixel normalisation is not that of {channels} channels.");
    }
}
