namespace Samples.Comparison;

/// <summary>One epoch of a training.</summary>
/// <param name="Epoch">The epoch, from 1.</param>
/// <param name="Loss">Mean training loss.</param>
/// <param name="Accuracy">Accuracy on the held-out training images; null where there are none.</param>
internal sealed record CurvePoint(int Epoch, double Loss, double? Accuracy);
