namespace Microsoft.ML.MoE.Training;

/// <summary>What a <see cref="LossMeter"/> has added up.</summary>
/// <param name="Window">Since the last report.</param>
/// <param name="WindowTime">How long that took.</param>
/// <param name="Epoch">Since the epoch started, up to the last report.</param>
/// <param name="EpochTime">How long the epoch has taken.</param>
internal sealed record LossMeterState(LossSums Window, TimeSpan WindowTime, LossSums Epoch, TimeSpan EpochTime);
