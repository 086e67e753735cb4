// Axes: T = tokens of the whole batch, H = heads, K = keys that a head retrieves.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>The keys that product keys have found.</summary>
/// <param name="Ids_THK">The keys, int64 (T, H, K), best first.</param>
/// <param name="Scores_THK">Their scores, float32 (T, H, K), descending. Carries the gradient of queries and sub-keys.</param>
public sealed record ProductKeyChoice(Tensor Ids_THK, Tensor Scores_THK)
{
    internal ProductKeyChoice MoveToOuterDisposeScope() => new(Ids_THK.MoveToOuterDisposeScope(), Scores_THK.MoveToOuterDisposeScope());
}
