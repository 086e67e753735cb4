using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;

namespace Shakespeare.Comparison;

/// <summary>What a training gave.</summary>
/// <param name="Variant">Name of the model.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Cost">Parameters, and multiply-adds a token.</param>
/// <param name="LearningRate">The highest learning rate.</param>
/// <param name="Steps">Steps.</param>
/// <param name="TokensPerSecond">Speed of the training, the median over its reports.</param>
/// <param name="TrainingLoss">Mean training loss since the last report but one, in nats a character.</param>
/// <param name="ValidationLoss">Loss on the validation part, in nats a character.</param>
/// <param name="Usage">How the sparse layer used its experts there; null for a dense model.</param>
internal sealed record TrainedVariant(
    string Variant,
    int Seed,
    ModelCost Cost,
    double LearningRate,
    int Steps,
    double TokensPerSecond,
    double TrainingLoss,
    double ValidationLoss,
    SparseLayerUsage? Usage);
