namespace StockRivals;

/// <summary>What one training gave.</summary>
/// <param name="Side"><c>ours</c> or <c>stock</c>.</param>
/// <param name="Name">What was trained.</param>
/// <param name="Seed">ML.NET's seed.</param>
/// <param name="TrainingImages">Images that it was trained on.</param>
/// <param name="Accuracy">Part of the test images that are classified right.</param>
/// <param name="LogLoss">Mean negative logarithm of the right class's probability, in nats.</param>
/// <param name="FitSeconds">Seconds of <c>Fit</c>, reading included.</param>
/// <param name="ScoredPerSecond">Test images scored a second, reading included.</param>
/// <param name="ZipBytes">Size of the saved model.</param>
internal sealed record Measurement(
    string Side,
    string Name,
    int Seed,
    int TrainingImages,
    double Accuracy,
    double LogLoss,
    double FitSeconds,
    double ScoredPerSecond,
    long ZipBytes);
