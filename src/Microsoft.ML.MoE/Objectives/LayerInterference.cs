namespace Microsoft.ML.MoE.Objectives;

/// <summary>
/// How tasks help or hinder one another in one layer: <c>[i][j]</c> is what a small step for task j does to the loss of task i, relative to
/// a step for i itself. 1 is as good, 0 of no effect, below 0 harmful.
/// </summary>
/// <param name="Block">The block whose second feed-forward matrix was looked at, from 0.</param>
/// <param name="Tasks">The tasks in the order of the rows and columns.</param>
/// <param name="MeanOfRatios">As the paper's authors compute it: the mean over batches a of task i of D(j, a) / D(i, a). It swings where a
/// step for i does a batch of its own little good.</param>
/// <param name="RatioOfMeans">The mean of D(j, a) over that of D(i, a).</param>
public sealed record LayerInterference(
    int Block,
    IReadOnlyList<string> Tasks,
    IReadOnlyList<IReadOnlyList<double>> MeanOfRatios,
    IReadOnlyList<IReadOnlyList<double>> RatioOfMeans);
