namespace Microsoft.ML.MoE.Objectives;

/// <summary>A text, or a pair of texts, as tokens.</summary>
/// <param name="Tokens">The tokens, at least one.</param>
/// <param name="SecondStart">Where the second text of a pair begins among them; their number where there is no second.</param>
/// <param name="Label">The class, from 0; −1 where there is none.</param>
internal readonly record struct TextExample(int[] Tokens, int SecondStart, int Label = -1);
