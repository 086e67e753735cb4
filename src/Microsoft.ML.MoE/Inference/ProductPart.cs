namespace Microsoft.ML.MoE.Inference;

/// <summary>A rectangle of a product.</summary>
/// <param name="FirstRow">Its first row.</param>
/// <param name="Rows">Its rows.</param>
/// <param name="FirstColumn">Its first column, the first of a panel.</param>
/// <param name="Columns">Its columns.</param>
internal readonly record struct ProductPart(int FirstRow, int Rows, int FirstColumn, int Columns);
