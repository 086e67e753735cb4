namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// A module that has some of its parameters trained by an optimizer of its own: for example tables of a million rows of which a step
/// touches a few hundred, whose gradients are row numbers with rows. The training loop finds it anywhere in the module that it trains.
/// </summary>
internal interface IHasOwnOptimizer
{
    /// <summary>
    /// Makes the optimizer. The loop leaves the parameters of this optimizer to it alone, lets their gradients count in the clipping by the
    /// global norm, keeps its state in checkpoints, and disposes it.
    /// </summary>
    /// <param name="main">What trains the other parameters of the model.</param>
    /// <param name="constants">The training's constants of Adam, which an optimizer of that family should take over.</param>
    /// <returns>A new optimizer over parameters of the module itself.</returns>
    IOptimizer CreateOptimizer(OptimizerKind main, AdamConstants constants);
}
