namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// A module that tells which of its parameters are matrices between hidden layers: what <see cref="Muon"/> trains. Embeddings, positions,
/// routers and what scores are read with are none. Of modules that do not tell, parameters with four axes count, the filters of
/// convolutions.
/// </summary>
internal interface IHasHiddenMatrices
{
    /// <summary>The module's own, without those of modules in it.</summary>
    IEnumerable<HiddenMatrices> HiddenMatrices { get; }
}
