namespace Microsoft.ML.MoE.Optimizers;

/// <summary>The optimizers to choose from.</summary>
public enum OptimizerKind
{
    /// <summary>AdamW, arXiv 1711.05101 (<see cref="FusedAdamW"/>).</summary>
    AdamW,

    /// <summary>
    /// LAMB, arXiv 1904.00962 (<see cref="Optimizers.Lamb"/>): for large batches, at learning rates around ten times those of AdamW.
    /// </summary>
    Lamb,

    /// <summary>Gradient descent with momentum (<see cref="FusedSgd"/>).</summary>
    Sgd,

    /// <summary>
    /// Muon (<see cref="Optimizers.Muon"/>, https://kellerjordan.github.io/posts/muon), momentum that is orthogonalised, for the matrices
    /// between hidden layers, those of experts each by itself; AdamW for all else: vectors, embeddings, positions, routers, heads.
    /// </summary>
    Muon,
}
