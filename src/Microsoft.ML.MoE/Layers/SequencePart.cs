using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Layers;

/// <summary>Consecutive tokens of one role.</summary>
/// <param name="Role">Their role.</param>
/// <param name="Length">How many they are, at least 1.</param>
internal sealed record SequencePart(TokenRole Role, long Length);
