namespace Microsoft.ML.MoE.Layers;

/// <summary>A convolution of a <see cref="ConvolutionalStem"/>.</summary>
/// <param name="Inputs">Channels of its input.</param>
/// <param name="Outputs">Channels of its output.</param>
/// <param name="Halves">Whether the image is half as high and wide after it.</param>
internal readonly record struct StemConvolution(int Inputs, int Outputs, bool Halves)
{
    /// <summary>Rows and columns of its window.</summary>
    public const int Side = 3;

    /// <summary>Numbers of its weight.</summary>
    public long Weights => checked((long)Inputs * Outputs * Side * Side);
}
