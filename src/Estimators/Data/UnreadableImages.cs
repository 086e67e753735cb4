namespace Microsoft.ML.MoE.Estimators;

/// <summary>Counts rows whose image is missing or cannot be read.</summary>
/// <param name="column">The column of the images.</param>
internal sealed class UnreadableImages(string column)
{
    /// <summary>How many.</summary>
    public long Count { get; private set; }

    /// <summary>Why the first of them that is not simply missing could not be read; null where there is none.</summary>
    public string? FirstFailure { get; private set; }

    /// <summary>Counts a row.</summary>
    /// <param name="failure">Why its image could not be read; null where it is missing.</param>
    public void Add(string? failure)
    {
        Count++;
        FirstFailure ??= failure;
    }

    /// <summary>Moves the count of another reader of the column over.</summary>
    public void Take(UnreadableImages other)
    {
        Count += other.Count;
        FirstFailure ??= other.FirstFailure;
        (other.Count, other.FirstFailure) = (0, null);
    }

    /// <summary>The end of a sentence about rows.</summary>
    public override string ToString() =>
        $"{Count:n0} have no readable image in column '{column}'{(FirstFailure is { } failure ? $" (the first: {failure})" : "")}";
}
