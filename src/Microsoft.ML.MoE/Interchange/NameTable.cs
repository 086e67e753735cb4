using Microsoft.ML.MoE.Weights;

namespace Microsoft.ML.MoE.Interchange;

/// <summary>Finds the tensors of a model in a checkpoint by a table of names.</summary>
internal static class NameTable
{
    private const string Number = "{i}";

    /// <summary>Which of their tensors each of ours is made of.</summary>
    /// <param name="table">The names.</param>
    /// <param name="ours">Our tensors, and their shapes.</param>
    /// <param name="theirs">The checkpoint's tensors.</param>
    /// <param name="optional">Names of ours that the checkpoint may lack.</param>
    /// <exception cref="InvalidDataException">Tensors are missing, left over, or of another shape: all of them are listed, with the file's
    /// shape and ours.</exception>
    public static IReadOnlyDictionary<string, NamedParts> Match(
        IReadOnlyList<TensorName> table,
        IReadOnlyDictionary<string, long[]> ours,
        IReadOnlyDictionary<string, SafeTensorsEntry> theirs,
        Func<string, bool> optional)
    {
        var names = new Dictionary<string, NamedParts>();
        var wrong = new List<string>();
        foreach (var (name, shape) in ours)
        {
            var parts = Translate(table, name);
            if (parts.Names.FirstOrDefault(part => !theirs.ContainsKey(part)) is { } missing)
            {
                if (!optional(name))
                    wrong.Add($"'{missing}' is missing, which is our '{name}' ({string.Join(", ", shape)})");
                continue;
            }
            names.Add(name, parts);
            var found = parts.Names.Select(part => theirs[part].Shape).ToArray();
            if (!IsSame(found, shape, parts.Flattened))
                wrong.Add(
                    $"{string.Join(", ", parts.Names.Zip(found, (part, its) => $"'{part}' is ({string.Join(", ", its)})"))}, our '{name}' "
                        + $"({string.Join(", ", shape)})");
        }

        var used = names.Values.SelectMany(parts => parts.Names).ToHashSet();
        wrong.AddRange(
            theirs.Where(pair => !used.Contains(pair.Key))
                .Select(pair => $"'{pair.Key}' ({string.Join(", ", pair.Value.Shape)}) is left over, which our network has no place for")
                .Order(StringComparer.Ordinal));
        return wrong.Count == 0
            ? names
            : throw new InvalidDataException($"The checkpoint does not fit:\n  {string.Join("\n  ", wrong)}");
    }

    /// <summary>Their names of a tensor of ours.</summary>
    /// <exception cref="InvalidDataException">The table does not have it.</exception>
    public static NamedParts Translate(IReadOnlyList<TensorName> table, string name)
    {
        foreach (var line in table)
        {
            if (NumberIn(line.Ours, name) is { } number)
                return new([.. line.Theirs.Select(theirs => theirs.Replace(Number, number, StringComparison.Ordinal))], line.Flattened);
        }
        throw new InvalidDataException($"Tensor '{name}' has no name in that library.");
    }

    // What stands for {i} in a name; empty where the pattern has none and is the name; null where it does not fit.
    private static string? NumberIn(string pattern, string name)
    {
        var at = pattern.IndexOf(Number, StringComparison.Ordinal);
        if (at < 0)
            return pattern == name ? "" : null;
        var end = pattern.Length - at - Number.Length;
        if (
            name.Length <= at + end
            || !name.AsSpan(0, at).SequenceEqual(pattern.AsSpan(0, at))
            || !name.AsSpan(name.Length - end).SequenceEqual(pattern.AsSpan(at + Number.Length)))
            return null;
        var number = name[at..^end];
        return number.All(char.IsAsciiDigit) ? number : null;
    }

    private static bool IsSame(long[][] theirs, long[] ours, bool flattened)
    {
        if (theirs.Length > 1)
        {
            return theirs.All(part => part.Length == ours.Length && part.AsSpan(1).SequenceEqual(ours.AsSpan(1)))
                && theirs.All(part => part[0] * theirs.Length == ours[0]);
        }
        var one = theirs[0];
        return one.SequenceEqual(ours)
            || (
                flattened
                && one.Length > ours.Length
                && one.AsSpan(0, ours.Length - 1).SequenceEqual(ours.AsSpan(0, ours.Length - 1))
                && one.Skip(ours.Length - 1).Aggregate(1L, (product, side) => product * side) == ours[^1]);
    }
}
