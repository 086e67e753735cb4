using System.Buffers.Binary;
using System.Collections;
using System.Globalization;
using System.Security.Cryptography;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// The usable rows of a data view in the order of its first pass, by which later ones are checked: rows are told apart by their number, and in another order the images that validate would be trained
/// on. Takes 12 bytes a row.
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

    /// <summary>Checks a row of a later pass.</summary>
    /// <param name="row">Its number.</param>
    /// <param name="example">What it holds; without pixels, only the label is checked.</param>
    /// <exception cref="InvalidOperationException">It is another row than in the first pass.</exception>
    public void Require(int row, ImageExample example)
    {
        if (row >= labels.Count)
            return;   // rows that have come since are no part of the training
        if (labels[row] != Unusable && labels[row] != example.Label)
        {
            throw Changed(row, string.Create(
                CultureInfo.InvariantCulture, $"has the key {example.Label + 1} in column '{data.Labels!.Name}' and had {labels[row] + 1}"));
        }
        if (example.Pixels.IsEmpty || hashes[row] == HashOf(example))
            return;

        // An image that is another row's is in the wrong place. One that is nobody's is not: a step of the pipeline may change images at random in each pass, or a
        // file has been mended.
        places ??= Places();
        if (places.TryGetValue(HashOf(example), out var place))
            throw Changed(row, string.Create(CultureInfo.InvariantCulture, $"is the one that was row {place:n0}"));
    }

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

    private InvalidOperationException Changed(int row, string how) => new(string.Create(
        CultureInfo.InvariantCulture,
        $"The rows of the {what} data come in another order than in the first pass over them: row {row:n0}, counted from 0, {how}. Images that are not kept in "
        + $"memory are told apart by the number of their row, so that with a changing order the images set apart for validation would be trained on, and no "
        + $"training could be repeated. Give the data in the same order each time (sort a query, put an enumeration into a list), or set "
        + $"{nameof(ImageClassificationOptions.CacheInMemory)} to true."));

    private static ulong HashOf(ImageExample example)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(example.Pixels.Span, hash);
        return BinaryPrimitives.ReadUInt64LittleEndian(hash) ^ (ulong)example.Label;   // 64 bits, which nothing will collide by accident
    }
}
