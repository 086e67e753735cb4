using System.Text.RegularExpressions;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The order of names with numbers in them that people expect: frame2 before frame10.</summary>
/// <remarks>
/// Not .NET's numeric ordering: that is ordinal without a word where an application runs without ICU (invariant globalization, usual in
/// containers), and otherwise depends on ICU's version in signs.
/// </remarks>
internal static partial class NaturalOrder
{
    private const int LongestNumber = 256;   // file names have at most 255 characters

    /// <summary>
    /// Names in the order of their characters, in which a number counts by its value: numbers of ASCII digits, without signs or fractions.
    /// </summary>
    public static IEnumerable<string> InNaturalOrder(this IEnumerable<string> names) =>
        names
            .OrderBy(
                name => Numbers.Replace(name, number => number.Value.TrimStart('0').PadLeft(LongestNumber, '0')), StringComparer.Ordinal)
            .ThenBy(name => name, StringComparer.Ordinal);

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Numbers { get; }
}
