namespace FashionMnist.Comparison;

/// <summary>One epoch of a training.</summary>
/// <param name="Epoch">The epoch, from 1.</param>
/// <param name="Loss">Mean training loss.</param>
/// <param name="Accuracy">Accuracy on the held-out training images.</param>
internal sealed record CurvePoint(int Epoch, double Loss, double Accuracy);
