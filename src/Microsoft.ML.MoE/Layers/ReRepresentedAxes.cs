namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// What the re-represent layers around the mixtures of a sparse block rescale (Sparse-MLP, arXiv 2109.02008, algorithm 1).
/// </summary>
public enum ReRepresentedAxes
{
    /// <summary>Patches, from S to S′, and channels, from C to C′.</summary>
    PatchesAndChannels,

    /// <summary>
    /// Patches only. The second of the two parameter counts that the paper gives for Sparse-MLP-S is the one without projections of the
    /// channels.
    /// </summary>
    Patches,

    /// <summary>
    /// Neither: there are no re-represent layers, and the mixtures work on S patches of C channels (the paper's ablation).
    /// </summary>
    None,
}
