namespace Microsoft.ML.MoE.Inference;

/// <summary>A place in a <see cref="Workspace"/>.</summary>
internal readonly record struct WorkspaceMark(int Block, long Used);
