// Axes: B = routed layers, E = experts.

using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>The loss of one batch. The training loop minimises <see cref="Main"/> + <see cref="Auxiliary"/>.</summary>
/// <param name="Main">What the task asks for, averaged over the batch: a float32 scalar.</param>
/// <param name="Auxiliary">What is added to it, such as the weighted balance losses of routed layers: a float32 scalar on the same device.</param>
/// <param name="Samples">Samples in the batch; reported means are weighted by it.</param>
/// <param name="ExpertCounts_BE">How often each routed layer chose each expert, kept and dropped alike, int64 (B, E); null for a dense model.</param>
/// <param name="DroppedCounts_B">How many of those choices found no place, by layer, int64 (B); null for none.</param>
public sealed record StepLoss(Tensor Main, Tensor Auxiliary, int Samples, Tensor? ExpertCounts_BE = null, Tensor? DroppedCounts_B = null);
