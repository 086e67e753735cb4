using System.Text.Json.Serialization;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Which of a model's blocks are of a special kind: its last ones, its first ones, or those of a list. Immutable, with equality by value.
/// </summary>
[JsonConverter(typeof(BlockPositionsConverter))]
public sealed class BlockPositions : IEquatable<BlockPositions>
{
    private enum Kind
    {
        Last,
        First,
        Listed,
    }

    private readonly Kind kind;
    private readonly int count;
    private readonly int[] listed;

    private BlockPositions(Kind kind, int count, int[] listed)
    {
        this.kind = kind;
        this.count = count;
        this.listed = listed;
    }

    /// <summary>No block.</summary>
    public static BlockPositions None { get; } = Last(0);

    /// <summary>The last blocks.</summary>
    /// <param name="count">How many, at least 0.</param>
    /// <exception cref="ArgumentException">The number is negative.</exception>
    public static BlockPositions Last(int count) => new(Kind.Last, RequireAtLeast0(count, "The number of last blocks"), []);

    /// <summary>The first blocks.</summary>
    /// <param name="count">How many, at least 0.</param>
    /// <exception cref="ArgumentException">The number is negative.</exception>
    public static BlockPositions First(int count) => new(Kind.First, RequireAtLeast0(count, "The number of first blocks"), []);

    /// <summary>The blocks of a list.</summary>
    /// <param name="blocks">Their positions from 0, ascending.</param>
    /// <exception cref="ArgumentException">A position is negative, or not larger than the one before it.</exception>
    public static BlockPositions At(params int[] blocks)
    {
        ArgumentNullException.ThrowIfNull(blocks);
        for (var i = 0; i < blocks.Length; i++)
        {
            RequireAtLeast0(blocks[i], $"Position {i} of the list of blocks");
            if (i > 0 && blocks[i] <= blocks[i - 1])
                throw new ArgumentException(
                    $"The list of blocks has {blocks[i]} after {blocks[i - 1]}; positions must ascend.", nameof(blocks));
        }
        return new(Kind.Listed, blocks.Length, [.. blocks]);
    }

    /// <summary>How many blocks these are.</summary>
    internal int Count => count;

    /// <summary>Whether a block is one of them.</summary>
    /// <param name="block">The block's position from 0.</param>
    /// <param name="blocks">Number of blocks of the model.</param>
    internal bool Contains(int block, int blocks) => kind switch
    {
        Kind.Last => block >= blocks - count,
        Kind.First => block < count,
        _ => Array.BinarySearch(listed, block) >= 0,
    };

    /// <summary>Whether a model with so many blocks has all of them.</summary>
    /// <param name="blocks">Number of blocks of the model.</param>
    internal bool Fit(int blocks) => kind == Kind.Listed ? listed.Length == 0 || listed[^1] < blocks : count <= blocks;

    /// <summary>As in a model's description: "last 2", "first 2", or "0, 3, 5".</summary>
    public override string ToString() => kind switch
    {
        Kind.Last => FormattableString.Invariant($"last {count}"),
        Kind.First => FormattableString.Invariant($"first {count}"),
        _ => string.Join(", ", listed.Select(block => FormattableString.Invariant($"{block}"))),
    };

    /// <summary>Reads what <see cref="ToString"/> writes.</summary>
    /// <param name="text">The text.</param>
    /// <exception cref="FormatException">The text is something else.</exception>
    public static BlockPositions Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var words = text.Split([' ', ','], StringSplitOptions.RemoveEmptyEntries);
        try
        {
            return words is ["last" or "first", var number]
                ? (words[0] == "last" ? Last(Number(number)) : First(Number(number)))
                : At([.. words.Select(Number)]);
        }
        catch (Exception exception) when (exception is ArgumentException or OverflowException or FormatException)
        {
            throw new FormatException(
                $"'{text}' does not say which blocks: 'last N', 'first N' or ascending positions from 0 are wanted.", exception);
        }

        static int Number(string word) =>
            int.Parse(word, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <inheritdoc/>
    public bool Equals(BlockPositions? other) =>
        other is not null && kind == other.kind && count == other.count && listed.AsSpan().SequenceEqual(other.listed);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as BlockPositions);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(kind, count, listed.LastOrDefault());

    private static int RequireAtLeast0(int value, string what) =>
        value >= 0 ? value : throw new ArgumentException($"{what} is {value}; it must be at least 0.");
}
