using Microsoft.ML.MoE.Models;

namespace Samples.Comparison;

/// <summary>What one training of one variant gave.</summary>
/// <param name="Variant">Its name.</param>
/// <param name="Seed">The seed of weights, order and dropout.</param>
/// <param name="Cost">Parameters and multiply-adds.</param>
/// <param name="TestAccuracy">Accuracy on all test images, of the weights that did best on the held-out training images, or of the last
/// where there are none.</param>
/// <param name="TrainingLoss">Mean loss in the last epoch.</param>
/// <param name="ImagesPerSecond">Training speed: the median epoch's.</param>
/// <param name="LoadVariation">(std/mean)² of the experts' load in the last epoch, the mean over the routing operations; null for a dense
/// model.</param>
/// <param name="DroppedFraction">Share of the choices in the last epoch that found no place; null for a dense model.</param>
/// <param name="LayerNormDiversity">How much the gains of the LayerNorms differ between blocks; see <see cref="LayerNorms"/>. Null where
/// all blocks share one, and for other models than Transformers.</param>
/// <param name="Curve">The epochs.</param>
internal sealed record TrainedVariant(
    string Variant, int Seed, ModelCost Cost, double TestAccuracy, double TrainingLoss, double ImagesPerSecond,
    double? LoadVariation, double? DroppedFraction, double? LayerNormDiversity, IReadOnlyList<CurvePoint> Curve);
