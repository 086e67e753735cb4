using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.Transforms;

namespace Estimators.Tests.TextEncoders;

/// <summary>Sentences that are good or bad, of few words.</summary>
internal static class Moods
{
    private static readonly string[] Things = ["cat", "dog", "mat", "cats", "dogs"];

    public static WideNetTextClassifier.Options Options() => new()
    {
        Architecture = TextEncoderConfig.Tiny with { ShareParameters = true, Experts = 3, RouterNoise = 0 },
        VocabularySize = 100,
        Epochs = 2,
        BatchSize = 8,
        LearningRate = 1e-2,
        Threads = 1,
        Seed = 1,
    };

    public static Mood[] Rows(int count) =>
    [
        .. Enumerable.Range(0, count).Select(i => new Mood
        {
            Label = i % 2 == 0 ? "good" : "bad",
            Text = $"the {Things[i % 5]} sat on the {Things[i * 7 % 5]}{string.Concat(Enumerable.Repeat(" very", i % 4))} "
                + $"{(i % 2 == 0 ? "good" : "bad")} .",
            Second = $"{(i % 2 == 0 ? "good" : "bad")} {Things[i * 3 % 5]}",
        }),
    ];

    public static IDataView View(MLContext ml, IEnumerable<Mood> rows) =>
        ml.Transforms.Conversion.MapValueToKey("Label", keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue)
            .Fit(ml.Data.LoadFromEnumerable(rows)).Transform(ml.Data.LoadFromEnumerable(rows));
}
