// From the numbers of a column to the model's input: per channel, minus the training data's mean, over its standard deviation.
//
// Axes: N = images, C = channels, H = height, W = width.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Per-channel normalisation, a part of the model: x = (number − mean) / deviation. Measured on the training data, so that a column may hold bytes, numbers from 0 to 1, or
/// whatever else the pipeline made of the pixels.
/// </summary>
/// <param name="Mean">Mean of each channel, in the column's units.</param>
/// <param name="StandardDeviation">Standard deviation of each channel in the same units, above 0.</param>
internal sealed record PixelNormalization(float[] Mean, float[] StandardDeviation)
{
    /// <summary>Normalises a batch.</summary>
    /// <param name="numbers_NCHW">The column's numbers, uint8 or float32, on the CPU.</param>
    /// <param name="device">Where the result goes.</param>
    /// <returns>float32 (N, C, H, W).</returns>
    public Tensor Apply(Tensor numbers_NCHW, Device device)
    {
        using var scope = NewDisposeScope();
        var mean_C11 = tensor(Mean, device: device).view(-1, 1, 1);
        var scale_C11 = tensor(Array.ConvertAll(StandardDeviation, deviation => 1 / deviation), device: device).view(-1, 1, 1);

        // Bytes travel as bytes, a quarter of the floats they become.
        var x_NCHW = numbers_NCHW.to(device).to_type(ScalarType.Float32);
        return ((x_NCHW - mean_C11) * scale_C11).MoveToOuterDisposeScope();
    }

    /// <summary>Checks the values of a file.</summary>
    /// <exception cref="InvalidDataException">They are not those of this many channels.</exception>
    public void Validate(int channels)
    {
        if (Mean?.Length != channels || StandardDeviation?.Length != channels || !Mean.All(float.IsFinite) || !StandardDeviation.All(d => float.IsFinite(d) && d > 0))
            throw new InvalidDataException($"The pixel normalisation is not that of {channels} channels.");
    }
}
