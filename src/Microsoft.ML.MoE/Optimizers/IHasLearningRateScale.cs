namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// A module whose parameters want another learning rate than those around it: for example the keys of a search, fewer of which are ever
/// found where they move fast. The training loop finds it anywhere in the module that it trains. Without effect on parameters that have an
/// optimizer of their own (<see cref="IHasOwnOptimizer"/>).
/// </summary>
internal interface IHasLearningRateScale
{
    /// <summary>
    /// What the learning rate of the module's parameters is multiplied by, at least 0; where such modules are nested, by the product.
    /// </summary>
    double LearningRateScale { get; }
}
