namespace Microsoft.ML.MoE.Interchange;

/// <summary>The tensors of a checkpoint that make one of ours.</summary>
/// <param name="Names">Their names, one after the other along the first axis.</param>
/// <param name="Flattened">As <see cref="TensorName.Flattened"/>.</param>
internal readonly record struct NamedParts(IReadOnlyList<string> Names, bool Flattened);
