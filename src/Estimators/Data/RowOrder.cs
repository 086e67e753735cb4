using System.Buffers.Binary;
using System.Collections;
using System.Globalization;
using System.Security.Cryptography;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// The usable rows of a data view in the order of its first pass, by which later ones are checked: rows are told apart by their number, and
/// in another order the images that validate would be trained on. Takes 12 bytes a row.
/// </summary>
/// <param name="data">The data view and its columns, for messages.</param>
/// <param name="what">What the data are for, in messages: "training", "validation" or "unlabelled".</param>
internal sealed class RowOrder(ImageData data, string what)
{
    private const int Unusable = -1;

    private readonly List<int> labels = [];   // by row
    private readonly List<ulong> hashes = [];
    private Dictionary<ulong, int>? places;

    /// <summary>Which rows are usable, by their number.</summary>
    public BitArray Usable => new([.. labels.Select(label => label != Unusable)]);

    /// <summary>Takes a usable row of the first pass in.</summary>
    /// <param name="row">Its number, greater than that of the row before.</param>
    /// <param name="example">What it holds.</param>
    public void Add(int row, ImageExample example)
    {
        while (labels.Count < row)
        {
            labels.Add(Unusable);
            hashes.Add(0);
        }
        labels.Add(example.Label);
        hashes.Add(HashOf(example));
    }

    /// <summary>Begins to check a later pass.</summary>
    public RowOrderPass StartPass() => new(this);

    /// <summary>Checks the label of a row of a later pass.</summary>
    /// <returns>Whether the row is one of the usable ones of the first pass, so that its image can be compared.</returns>
    /// <exception cref="InvalidOperationException">It had another.</exception>
    internal bool RequireLabel(int row, ImageExample example)
    {
        if (row >= labels.Count || labels[row] == Unusable)
            return false;   // a row that has come since, or can be read only since, is no part of the training
        return labels[row] == example.Label
            ? true
            : throw Changed(
                row,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"has the key {example.Label + 1} in column '{data.Labels!.Name}' and had {labels[row] + 1}"));
    }

    /// <summary>What told the image of a usable row apart in the first pass.</summary>
    internal ulong HashAt(int row) => hashes[row];

    /// <summary>The first row that had such an image in the first pass; null where none had.</summary>
    internal int? RowOf(ulong hash) => (places ??= Places()).TryGetValue(hash, out var row) ? row : null;

    /// <summary>The error for an image that was another row's.</summary>
    internal InvalidOperationException Moved(int row, int from) =>
        Changed(row, string.Create(CultureInfo.InvariantCulture, $"is the one that was row {from:n0}"));

    private Dictionary<ulong, int> Places()
    {
        var all = new Dictionary<ulong, int>(hashes.Count);
        for (var row = 0; row < hashes.Count; row++)
        {
            if (labels[row] != Unusable)
                all.TryAdd(hashes[row], row);
        }
        return all;
    }

    private InvalidOperationException Changed(int row, string how) =>
        new(
            string.Create(
                CultureInfo.InvariantCulture,
                $"The rows of the {what} data come in another order than in the first pass over them: row {row:n0}, counted from 0, {how}. "
                    + $"Images that are not kept in memory are told apart by the number of their row, so that with a changing order the "
                    + $"images set apart for validation "
                    + $"would be trained on, and no training could be repeated. Give the data in the same order each time (sort a query, "
                    + $"put an enumeration into a list), "
                    + $"or set {nameof(ImageClassificationOptions.CacheInMemory)} to true."));

    internal static ulong HashOf(ImageExample example)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(example.Pixels.Span, hash);
        return BinaryPrimitives.ReadUInt64LittleEndian(hash) ^ (ulong)example.Label;   // 64 bits, which nothing will collide by accident
    }
}
