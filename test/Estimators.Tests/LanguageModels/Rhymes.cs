using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;

namespace Estimators.Tests.LanguageModels;

/// <summary>Texts that a tiny model learns within seconds.</summary>
internal static class Rhymes
{
    public static readonly string[] Texts =
    [
        "the cat sat on the mat",
        "the rat sat on the cat",
        "the cat sat on the hat of the bat that sat on the mat",
        "the bat sat",
        "",
        "the hat of the cat sat on the rat",
    ];

    /// <summary>The rows of <see cref="Texts"/>, repeated.</summary>
    public static IEnumerable<TextRow> Rows(int count) =>
        Enumerable.Range(0, count).Select(id => new TextRow { Id = id, Text = Texts[id % Texts.Length] });

    public static IDataView Data(MLContext ml, int count = 24) => ml.Data.LoadFromEnumerable(Rows(count));

    /// <summary>Options of a model small enough for tests, with all columns.</summary>
    public static PeerLanguageModel.Options Options() => new()
    {
        Architecture = LanguageModelConfig.Nano with { ContextLength = 16 },
        EmbeddingColumnName = "Embedding",
        ContinuationColumnName = "Continuation",
        Continuation = new GenerationOptions { MaxTokens = 6 },
        Epochs = 12,
        BatchSize = 4,
        LearningRate = 1e-2,
        Seed = 3,
        PredictionBatchSize = 4,
    };

    /// <summary>What a model says of rows.</summary>
    public static TextPrediction[] Predict(MLContext ml, ITransformer model, IEnumerable<TextRow> rows) =>
        [.. ml.Data.CreateEnumerable<TextPrediction>(model.Transform(ml.Data.LoadFromEnumerable(rows)), reuseRowObject: false)];
}
