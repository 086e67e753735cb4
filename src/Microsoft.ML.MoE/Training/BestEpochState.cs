namespace Microsoft.ML.MoE.Training;

/// <summary>What a <see cref="BestEpochTracker"/> knows.</summary>
/// <param name="Epoch">Number of the best epoch; null for none yet.</param>
/// <param name="Score">Its score, the higher the better.</param>
/// <param name="Reference">The score that an improvement is measured against.</param>
/// <param name="EpochsWithoutImprovement">How long ago the last improvement was.</param>
internal sealed record BestEpochState(int? Epoch, double Score, double Reference, int EpochsWithoutImprovement);
