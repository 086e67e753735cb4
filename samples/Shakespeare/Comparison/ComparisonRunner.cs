using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;

namespace Shakespeare.Comparison;

/// <summary>Trains models on the same windows in the same order, and measures them.</summary>
internal static class ComparisonRunner
{
    private const int BatchSize = 12;   // nanoGPT's
    private const int MostEpochs = 1000;   // steps or time end training before
    private const int ProgressInterval = 50;

    /// <summary>Trains every model once for each seed.</summary>
    /// <param name="variants">The models.</param>
    /// <param name="budget">What each may spend.</param>
    /// <param name="seeds">How many seeds, from 1.</param>
    /// <param name="text">What to train on, and what to measure on.</param>
    /// <param name="report">Receives a line after each training.</param>
    public static List<TrainedVariant> Run(
        IReadOnlyList<Variant> variants,
        Budget budget,
        int seeds,
        (ShakespeareText Training, ShakespeareText Validation) text,
        Action<string> report)
    {
        var trained = new List<TrainedVariant>();
        for (var seed = 1; seed <= seeds; seed++)   // the seeds outside, so that whatever else the machine does meets all models
        {
            foreach (var variant in variants)
            {
                var result = Train(variant, budget, seed, text);
                trained.Add(result);
                report(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{variant.Name}, seed {seed}: validation loss {result.ValidationLoss:F4} after {result.Steps:N0} steps, "
                            + $"{result.TokensPerSecond:N0} tokens/s"));
            }
        }
        return trained;
    }

    private static TrainedVariant Train(
        Variant variant, Budget budget, int seed, (ShakespeareText Training, ShakespeareText Validation) text)
    {
        var mlContext = new MLContext(seed);
        var curve = new TrainingCurve();
        using var model = mlContext.Transforms.Text.PeerLanguageModel(new PeerLanguageModel.Options
        {
            Architecture = variant.Config,
            Tokenizer = TokenizerOptions.Characters,
            BatchSize = BatchSize,
            LearningRate = variant.LearningRate,
            FinalLearningRate = variant.LearningRate / 10,   // as nanoGPT's
            Epochs = MostEpochs,
            MaxSteps = budget.Steps,
            MaxTime = budget.Time,
            ProgressInterval = Math.Min(ProgressInterval, budget.Steps ?? int.MaxValue),
            Progress = curve.Add,
        }).Fit(mlContext.Data.LoadFromEnumerable([text.Training]));
        var metrics = model.Evaluate(mlContext.Data.LoadFromEnumerable([text.Validation]));
        return new TrainedVariant(
            variant.Name,
            seed,
            model.Model.Config.GetCost(),
            variant.LearningRate,
            model.Training!.Training.Steps,
            curve.TokensPerSecond,
            curve.Points[^1].Loss,
            metrics.Loss,
            metrics.Layers.SingleOrDefault());
    }
}
