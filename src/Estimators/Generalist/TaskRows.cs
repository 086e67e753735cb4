namespace Microsoft.ML.MoE.Estimators;

/// <summary>The usable rows of a task.</summary>
/// <param name="Examples">What the model reads of them.</param>
/// <param name="Texts">Their texts, empty where the task reads none.</param>
/// <param name="Unused">Rows that were left out, because what the task asks for is missing or cannot be read.</param>
/// <param name="Cut">Texts that were too long and lost their last tokens.</param>
internal sealed record TaskRows(IReadOnlyList<GeneralistExample> Examples, IReadOnlyList<string> Texts, long Unused, long Cut);
