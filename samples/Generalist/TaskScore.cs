namespace GeneralistSample;

/// <summary>How well a task is done.</summary>
/// <param name="Task">Its name.</param>
/// <param name="Metric">What is measured.</param>
/// <param name="Value">The metric.</param>
/// <param name="Chance">What it is for a model that does not look at its input.</param>
internal sealed record TaskScore(string Task, string Metric, double Value, double Chance);
