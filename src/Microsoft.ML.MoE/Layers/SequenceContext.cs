// Axes: N = sequences, L = tokens of a sequence, D = model width, R = roles.

using Microsoft.ML.MoE.Experts;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>What a block knows of sequences besides their tokens.</summary>
/// <param name="Layout">The roles of the tokens.</param>
/// <param name="Roles_RD">The roles' vectors, float32 (R, D), where roles are routed; else null.</param>
/// <param name="Mask_NL">False for padding, bool (N, L); null for none.</param>
/// <param name="Visible_NLL">True where a token (row) sees another (column), bool, (N, L, L) or (1, L, L); null where all see all.</param>
/// <param name="Merged">Keeps the merged experts for later calls; null to merge them anew.</param>
internal sealed record SequenceContext(
    SequenceLayout Layout, Tensor? Roles_RD = null, Tensor? Mask_NL = null, Tensor? Visible_NLL = null, MergedExperts? Merged = null);
