namespace Microsoft.ML.MoE.Layers;

/// <summary>How a convolution of a <see cref="ConvolutionalStem"/> halves the sides of an image.</summary>
public enum StemHalving
{
    /// <summary>It is made at every pixel, and the largest of every 2×2 of its results stays (arXiv 2104.05704).</summary>
    MaxPooling,

    /// <summary>It is made at every second pixel of both axes, for a quarter of the multiply-adds (arXiv 2106.14881).</summary>
    Stride,
}
