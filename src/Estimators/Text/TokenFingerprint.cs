using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Tells whether the documents of a training are those of an earlier one.</summary>
internal static class TokenFingerprint
{
    private const int Digits = 16;   // 64 bits, which nothing will collide by accident

    /// <summary>Their number, and a hash of all tokens in their order, by name.</summary>
    /// <param name="documents">The tokens of each.</param>
    /// <param name="what">What they are for: "training" or "validation".</param>
    public static IEnumerable<KeyValuePair<string, string>> Describe(IReadOnlyList<int[]> documents, string what)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var document in documents)
        {
            hash.AppendData(BitConverter.GetBytes(document.Length));
            hash.AppendData(MemoryMarshal.AsBytes(document.AsSpan()));
        }
        return
        [
            new($"Number of {what} texts", documents.Count.ToString(CultureInfo.InvariantCulture)),
            new($"Hash of the {what} tokens", Convert.ToHexStringLower(hash.GetHashAndReset())[..Digits]),
        ];
    }
}
