namespace Microsoft.ML.MoE.Training;

/// <summary>A value that was chosen because nobody gave one.</summary>
/// <param name="Option">The option.</param>
/// <param name="Value">Its value, as text.</param>
/// <param name="Reason">Why it was this one.</param>
public sealed record ChosenOption(string Option, string Value, string Reason)
{
    /// <summary>The choice in words.</summary>
    public override string ToString() => $"{Option} {Value} ({Reason})";
}
