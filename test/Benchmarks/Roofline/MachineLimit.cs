namespace Benchmarks.Roofline;

/// <summary>One limit of a machine.</summary>
/// <param name="Name">What is limited.</param>
/// <param name="Value">How much.</param>
/// <param name="Unit">Of what.</param>
/// <param name="How">How it is measured.</param>
internal sealed record MachineLimit(string Name, double Value, string Unit, string How)
{
    /// <summary>The limit as a row of a table.</summary>
    public IEnumerable<(string Column, object? Value)> ToRow() => [("limit", Name), ("value", Value), ("unit", Unit), ("how", How)];
}
