using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Training;

/// <summary>Means over several updates.</summary>
/// <param name="Steps">Updates.</param>
/// <param name="Samples">Samples in them.</param>
/// <param name="Loss">Mean main loss, by sample.</param>
/// <param name="AuxiliaryLoss">Mean auxiliary loss, by sample.</param>
/// <param name="GradientNorm">Mean norm of all gradients together before clipping, by update; null where it is not clipped.</param>
/// <param name="SamplesPerSecond">Samples per second, time for data included, time for validation not.</param>
/// <param name="ExpertLoad">For each routing operation of the model, how it used its experts: choices, dropped share, variation, entropy;
/// null for a dense model.</param>
public sealed record TrainingAverages(
    int Steps,
    long Samples,
    double Loss,
    double AuxiliaryLoss,
    double? GradientNorm,
    double SamplesPerSecond,
    IReadOnlyList<ExpertLoad>? ExpertLoad);
