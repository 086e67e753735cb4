using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Training;

namespace StockRivals;

/// <summary>Trains both sides on the same images and measures them on the same others.</summary>
/// <param name="Train">What they are trained on.</param>
/// <param name="Test">What they are measured on; nothing is chosen by it.</param>
/// <param name="Contenders">The sides.</param>
internal sealed record Contest<TRow>(IReadOnlyList<TRow> Train, IReadOnlyList<TRow> Test, IReadOnlyList<Contender> Contenders)
    where TRow : class
{
    private const double LeastProbability = 1e-15;   // as ML.NET's log-loss has it

    /// <summary>Trains every side with every seed.</summary>
    /// <param name="seeds">How many, from 1.</param>
    /// <param name="report">Is told how it goes.</param>
    public IReadOnlyList<Measurement> Run(int seeds, Action<string> report)
    {
        report($"{Train.Count:N0} images to train on, {Test.Count:N0} to test");
        var measured = new List<Measurement>();
        for (var seed = 1; seed <= seeds; seed++)   // the seeds outside, so that whatever else the machine does meets both sides
        {
            foreach (var contender in Contenders)
            {
                var one = Measure(contender, seed, report);
                report(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{one.Name}, seed {seed}: accuracy {one.Accuracy:F4}, log-loss {one.LogLoss:F4}, Fit {one.FitSeconds:F0} s"));
                measured.Add(one);
            }
        }
        return measured;
    }

    private Measurement Measure(Contender contender, int seed, Action<string> report)
    {
        var mlContext = new MLContext(seed);
        var (train, test) = (mlContext.Data.LoadFromEnumerable(Train), mlContext.Data.LoadFromEnumerable(Test));

        var clock = Stopwatch.StartNew();
        var model = contender.Create(mlContext, progress => ReportEpoch(progress, report)).Fit(train);
        var fitSeconds = clock.Elapsed.TotalSeconds;

        var scored = model.Transform(test);
        clock.Restart();
        var scores = scored.GetColumn<float[]>("Score").ToArray();
        var scoringSeconds = clock.Elapsed.TotalSeconds;

        // A key counts from 1. What cannot be read has scores of NaN, and is taken as wrong.
        var probabilities = scored.GetColumn<uint>("Label")
            .Zip(scores, (key, score) => (Wanted: key == 0 ? float.NaN : score[key - 1], Most: score.Max()))
            .ToArray();
        using var zip = new MemoryStream();
        mlContext.Model.Save(model, train.Schema, zip);
        (model as IDisposable)?.Dispose();

        return new(
            contender.Side,
            contender.Name,
            seed,
            Train.Count,
            Accuracy: probabilities.Average(p => p.Wanted == p.Most ? 1.0 : 0),
            LogLoss: probabilities.Average(p => -Math.Log(Math.Max(float.IsNaN(p.Wanted) ? 0 : p.Wanted, LeastProbability))),
            fitSeconds,
            ScoredPerSecond: Test.Count / scoringSeconds,
            zip.Length);
    }

    private static void ReportEpoch(TrainingProgress progress, Action<string> report)
    {
        if (progress.EpochCompleted)
        {
            report(string.Create(
                CultureInfo.InvariantCulture,
                $"  epoch {progress.Epoch}/{progress.TotalEpochs}, loss {progress.Loss:F4}, {progress.SamplesPerSecond:F0} images/s"));
        }
    }
}
