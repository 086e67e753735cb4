using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Shakespeare;

namespace MillionExperts;

/// <summary>
/// One training: three blocks of width 256 on bytes, the middle one with PEER, of 8 heads and 16 experts a head as in the paper.
/// </summary>
/// <param name="Experts">Number of experts, a perfect square.</param>
/// <param name="QueryBatchNorm">Whether queries are normalised over the batch.</param>
/// <param name="Steps">Steps of 4 windows of 128 bytes.</param>
/// <param name="File">The text; its last tenth is not trained on.</param>
/// <param name="SaveAs">The zip that the model is saved to; null for none.</param>
internal sealed record Training(int Experts, bool QueryBatchNorm, int Steps, string File, string? SaveAs = null)
{
    private const int ContextLength = 128;
    private const int BatchSize = 4;
    private const int CurvePoints = 20;
    private const int MostValidation = 250_000;   // characters: enough for each of a million experts to be chosen some 30 times

    /// <summary>The numbers of experts in the paper's table 2.</summary>
    public static int[] PaperSizes { get; } = [128 * 128, 256 * 256, 512 * 512, 1024 * 1024];

    /// <summary>Bytes that a step learns from.</summary>
    public static int TokensPerStep => ContextLength * BatchSize;

    /// <summary>Trains and measures.</summary>
    /// <param name="report">Receives a line now and then.</param>
    /// <exception cref="InvalidOperationException">The experts do not fit into the memory that is available.</exception>
    public TrainedExperts Run(Action<string> report)
    {
        var mlContext = new MLContext(seed: 1);
        var data = mlContext.Data.LoadFromEnumerable([ShakespeareText.Read(File).Training]);
        var curve = new TrainingCurve();
        var options = new PeerLanguageModel.Options
        {
            Architecture = LanguageModelConfig.Small with
            {
                SparseLayer = new PeerOptions { Experts = Experts, QueryBatchNorm = QueryBatchNorm },
                Width = 256,
                Blocks = 3,
                ContextLength = ContextLength,
            },
            BatchSize = BatchSize,
            LearningRate = 2e-3,
            Epochs = 1000,   // the steps end training, not their number
            MaxSteps = Steps,
            ProgressInterval = Math.Max(1, Steps / CurvePoints),
            Progress = progress =>
            {
                curve.Add(progress);
                report(FormattableString.Invariant($"{Experts:N0} experts{(QueryBatchNorm ? "" : ", no batch norm")}: step {progress.Step}/{progress.TotalSteps}, loss {progress.Loss:F3}, {progress.SamplesPerSecond:N0} tokens/s"));
            },
        };

        var clock = Stopwatch.StartNew();
        using var model = mlContext.Transforms.Text.PeerLanguageModel(options).Fit(data);
        var seconds = clock.Elapsed.TotalSeconds;
        var metrics = model.Evaluate(mlContext.Data.LoadFromEnumerable([ToMeasure(File)]));
        using var process = Process.GetCurrentProcess();
        return new TrainedExperts(
            Experts, QueryBatchNorm, model.Model.Config.GetCost(), curve.TokensPerSecond, seconds, process.PeakWorkingSet64,
            curve.Points[^1].Loss, metrics.Loss, metrics.Tokens, metrics.Layers.Single(), curve.Points,
            SaveAs is null ? null : StoredModel.Save(mlContext, model, data.Schema, metrics.Loss, SaveAs));
    }

    /// <summary>What of a text a model is measured on.</summary>
    /// <param name="file">The text.</param>
    public static ShakespeareText ToMeasure(string file)
    {
        var text = ShakespeareText.Read(file).Validation.Text;
        return new() { Text = text[..Math.Min(MostValidation, text.Length)] };
    }
}
