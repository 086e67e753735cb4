// Axes: T = tokens of the whole batch, D = model width, M = experts of a token.

using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>
/// The gradient of a table's rows as products: pair (t, m) adds <c>Multiples_TM[t, m] · Vectors_TD[t]</c> to the gradient of its row.
/// </summary>
/// <param name="Multiples_TM">Float32 (T, M).</param>
/// <param name="Vectors_TD">Float32 (T, D).</param>
internal sealed record RowFactors(Tensor Multiples_TM, Tensor Vectors_TD);
