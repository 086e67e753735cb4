namespace Microsoft.ML.MoE.Estimators;

/// <summary>What one channel of one image, or of several, adds to the statistics of all.</summary>
/// <param name="Sum">The sum of its numbers.</param>
/// <param name="Squares">The sum of their squares.</param>
/// <param name="Least">The least of them.</param>
/// <param name="Most">The greatest.</param>
internal readonly record struct ChannelSums(double Sum, double Squares, float Least, float Most)
{
    /// <summary>Those of both together.</summary>
    public ChannelSums With(ChannelSums other) =>
        new(Sum + other.Sum, Squares + other.Squares, Math.Min(Least, other.Least), Math.Max(Most, other.Most));

    /// <summary>Those of bytes.</summary>
    public static ChannelSums Of(ReadOnlySpan<byte> plane)
    {
        long sum = 0, squares = 0;
        foreach (var value in plane)
        {
            sum += value;
            squares += value * value;
        }
        return new(sum, squares, byte.MinValue, byte.MaxValue);
    }

    /// <summary>Those of floating-point numbers.</summary>
    public static ChannelSums Of(ReadOnlySpan<float> plane)
    {
        var (sum, squares, least, most) = (0.0, 0.0, float.PositiveInfinity, float.NegativeInfinity);
        foreach (var value in plane)
        {
            sum += value;
            squares += (double)value * value;
            least = Math.Min(least, value);
            most = Math.Max(most, value);
        }
        return new(sum, squares, least, most);
    }
}
