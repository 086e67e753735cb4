namespace Microsoft.ML.MoE.Training;

/// <summary>
/// A module that has some of its parameters trained by an optimizer of its own: for example tables of a million rows of which a step touches a few hundred, whose gradients are row
/// numbers with rows. The training loop finds it anywhere in the module that it trains.
/// </summary>
public interface IHasOwnOptimizer
{
    /// <summary>
    /// Makes the optimizer. The loop leaves the parameters of this optimizer to it alone, lets their gradients count in the clipping by the global norm, keeps its state in checkpoints,
    /// and disposes it.
    /// </summary>
    /// <param name="options">How the model is trained; what was null and to be chosen has been.</param>
    /// <returns>A new optimizer over parameters of the module itself.</returns>
    IOptimizer CreateOptimizer(TrainingOptions options);
}
