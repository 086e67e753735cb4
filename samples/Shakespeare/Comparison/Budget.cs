using System.Globalization;

namespace Shakespeare.Comparison;

/// <summary>What every model may spend: steps or time.</summary>
/// <param name="Steps">Steps; null where time is the limit.</param>
/// <param name="Time">Time; null where steps are the limit.</param>
internal sealed record Budget(int? Steps, TimeSpan? Time)
{
    /// <summary>Its name, for files.</summary>
    public string Name => Steps is null ? "minutes" : "steps";

    /// <inheritdoc/>
    public override string ToString() => Steps is { } steps
        ? string.Create(CultureInfo.InvariantCulture, $"{steps:N0} steps")
        : string.Create(CultureInfo.InvariantCulture, $"{Time!.Value.TotalMinutes:0.##} minutes of training");
}
