using System.Globalization;

namespace Samples;

/// <summary>Writes repeated measurements.</summary>
internal static class Spread
{
    /// <summary>Mean ± sample standard deviation; the value alone where there is one.</summary>
    /// <param name="values">The measurements, at least one.</param>
    /// <param name="format">How numbers are written; of one that shows signs the deviation takes the part for positive ones without the
    /// sign.</param>
    public static string Of(IEnumerable<double> values, string format)
    {
        var all = values.ToArray();
        var mean = all.Average();
        var text = mean.ToString(format, CultureInfo.InvariantCulture);
        if (all.Length < 2)
            return text;
        var deviation = Math.Sqrt(all.Sum(value => (value - mean) * (value - mean)) / (all.Length - 1));
        return $"{text} ± {deviation.ToString(format.Split(';')[0].TrimStart('+'), CultureInfo.InvariantCulture)}";
    }
}
