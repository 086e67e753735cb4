namespace Microsoft.ML.MoE.Estimators;

/// <summary>Size of an image: channels, and height and width in pixels.</summary>
internal readonly record struct ImageShape(int Channels, int Height, int Width)
{
    /// <summary>Numbers of one image.</summary>
    public int Length => checked(Channels * Height * Width);

    public override string ToString() => $"{Width}×{Height} with {Channels} channel{(Channels == 1 ? "" : "s")}";
}
