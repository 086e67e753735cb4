using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Shakespeare;

namespace MillionExperts;

/// <summary>What a training gave.</summary>
/// <param name="Experts">Number of experts.</param>
/// <param name="QueryBatchNorm">Whether queries were normalised over the batch.</param>
/// <param name="Cost">Parameters and multiply-adds.</param>
/// <param name="TokensPerSecond">Speed of the training, the median over its reports.</param>
/// <param name="Seconds">Duration, the making of the tables included.</param>
/// <param name="PeakBytes">The most memory that the process had in use.</param>
/// <param name="TrainingLoss">Mean training loss since the last report but one, in nats a byte.</param>
/// <param name="ValidationLoss">Loss on the validation part, in nats a byte.</param>
/// <param name="ValidationTokens">Bytes of that part.</param>
/// <param name="Usage">How the PEER layer used its experts on the validation part.</param>
/// <param name="Curve">Training loss and speed by step and time.</param>
/// <param name="Saved">What saving it took; null where it was not saved.</param>
internal sealed record TrainedExperts(
    int Experts,
    bool QueryBatchNorm,
    ModelCost Cost,
    double TokensPerSecond,
    double Seconds,
    long PeakBytes,
    double TrainingLoss,
    double ValidationLoss,
    long ValidationTokens,
    SparseLayerUsage Usage,
    IReadOnlyList<CurvePoint> Curve,
    StoredModel? Saved = null);
