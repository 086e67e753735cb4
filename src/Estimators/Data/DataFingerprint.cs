using System.Globalization;
using System.Security.Cryptography;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Tells whether the examples of a training are those of an earlier one: their number, and hashes of all pixels, of all labels and, where
/// there are any, of all weights in their order.
/// </summary>
/// <param name="weighted">Whether there are weights.</param>
internal sealed class DataFingerprint(bool weighted) : IDisposable
{
    private const int Digits = 16;   // 64 bits, which nothing will collide by accident

    private readonly IncrementalHash images = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly IncrementalHash labels = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly IncrementalHash weights = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private int count;

    /// <summary>Takes an example in.</summary>
    public void Add(ImageExample example)
    {
        count++;
        images.AppendData(example.Pixels.Span);
        labels.AppendData(BitConverter.GetBytes(example.Label));
        weights.AppendData(BitConverter.GetBytes(example.Weight));
    }

    /// <summary>What the examples are, by name.</summary>
    /// <param name="what">What they are for: "training" or "validation".</param>
    public IEnumerable<KeyValuePair<string, string>> Describe(string what) =>
    [
        new($"Number of {what} images", count.ToString(CultureInfo.InvariantCulture)),
        new($"Hash of the {what} images", Convert.ToHexStringLower(images.GetCurrentHash())[..Digits]),
        new($"Hash of the {what} labels", Convert.ToHexStringLower(labels.GetCurrentHash())[..Digits]),
        .. weighted
            ? [new($"Hash of the {what} weights", Convert.ToHexStringLower(weights.GetCurrentHash())[..Digits])]
            : Array.Empty<KeyValuePair<string, string>>(),
    ];

    /// <inheritdoc/>
    public void Dispose()
    {
        images.Dispose();
        labels.Dispose();
        weights.Dispose();
    }
}
