using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The texts of a data view as tokens, with their classes.</summary>
/// <param name="Examples">Those that can be used.</param>
/// <param name="MissingLabels">Rows that have no label.</param>
/// <param name="EmptyTexts">Rows with a label in which a text is missing or empty.</param>
/// <param name="CutTexts">Examples of which the end was left out.</param>
internal sealed record TextData(IReadOnlyList<TextExample> Examples, long MissingLabels, long EmptyTexts, long CutTexts)
{
    private const int Digits = 16;   // 64 bits, which nothing will collide by accident

    /// <summary>Reads the data, and says what is left out.</summary>
    /// <param name="session">Receives what there is to say, and cancels.</param>
    /// <param name="view">The data.</param>
    /// <param name="labels">The label column.</param>
    /// <param name="open">Opens what reads the texts.</param>
    /// <param name="what">What they are for: "training" or "validation".</param>
    /// <exception cref="InvalidOperationException">There are no usable rows.</exception>
    public static TextData Read(
        TrainingSession session, IDataView view, LabelColumn labels, Func<DataViewRow, TextPairReader> open, string what)
    {
        using var cursor = view.GetRowCursor(view.Schema);
        var (readLabel, reader) = (labels.OpenReader(cursor), open(cursor));
        var examples = new List<TextExample>();
        var missing = 0L;
        foreach (var _ in session.Watch(Rows(cursor)))
        {
            session.ThrowIfCancelled();
            if (readLabel() is not { } label)
                missing++;
            else if (reader.Read() is { } example)
                examples.Add(example with { Label = label });
        }
        var reasons = new List<string>();
        if (missing > 0)
            reasons.Add(string.Create(CultureInfo.InvariantCulture, $"{missing:n0} have no label in column '{labels.Name}'"));
        if (reader.Empty > 0)
            reasons.Add(string.Create(CultureInfo.InvariantCulture, $"{reader.Empty:n0} have a text that is missing or empty"));
        if (examples.Count == 0)
            throw new InvalidOperationException(
                reasons.Count == 0
                    ? $"The {what} data have no rows."
                    : $"The {what} data have no usable rows: {string.Join(", ", reasons)}.");
        if (reader.Cut > 0)
            reasons.Add(string.Create(CultureInfo.InvariantCulture, $"of {reader.Cut:n0} the end is left out, since they are too long"));
        if (reasons.Count > 0)
            session.Channel.Warning(
                MessageSensitivity.None,
                string.Create(
                    CultureInfo.InvariantCulture, $"Of the {what} data {examples.Count:n0} rows are used; {string.Join(", ", reasons)}."));
        return new(examples, missing, reader.Empty, reader.Cut);
    }

    /// <summary>Sets examples apart to validate on: the same part of every class, at least one in all, never the last of a class.</summary>
    /// <param name="fraction">The part, above 0 and below 1.</param>
    /// <param name="random">Decides which.</param>
    /// <exception cref="InvalidOperationException">No class has two examples.</exception>
    public (IReadOnlyList<TextExample> Training, IReadOnlyList<TextExample> Validation) Split(double fraction, Random random)
    {
        int[] order = [.. Enumerable.Range(0, Examples.Count)];
        random.Shuffle(order);
        var groups = order
            .GroupBy(i => Examples[i].Label)
            .Select(group => group.ToArray())
            .OrderByDescending(group => group.Length)
            .ToArray();
        var held = groups.SelectMany(group => group.Take(Math.Min(group.Length - 1, (int)Math.Round(group.Length * fraction)))).ToHashSet();
        if (held.Count == 0)
        {
            if (groups[0].Length < 2)
                throw new InvalidOperationException("No class has two examples, so that none can be set apart to validate on.");
            held.Add(groups[0][0]);
        }
        return (
            [.. Enumerable.Range(0, Examples.Count).Where(i => !held.Contains(i)).Select(i => Examples[i])],
            [.. Enumerable.Range(0, Examples.Count).Where(held.Contains).Select(i => Examples[i])]);
    }

    /// <summary>What the examples are, by name, to tell whether a training that goes on has the same.</summary>
    /// <param name="what">What they are for.</param>
    public IEnumerable<KeyValuePair<string, string>> Fingerprint(string what)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (tokens, second, label) in Examples)
        {
            hash.AppendData(MemoryMarshal.AsBytes<int>([tokens.Length, second, label]));
            hash.AppendData(MemoryMarshal.AsBytes(tokens.AsSpan()));
        }
        return
        [
            new($"Number of {what} texts", Examples.Count.ToString(CultureInfo.InvariantCulture)),
            new($"Hash of the {what} tokens and labels", Convert.ToHexStringLower(hash.GetHashAndReset())[..Digits]),
        ];
    }

    private static IEnumerable<bool> Rows(DataViewRowCursor cursor)
    {
        while (cursor.MoveNext())
            yield return true;
    }
}
