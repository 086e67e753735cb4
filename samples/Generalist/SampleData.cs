using FashionMnist;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;

namespace GeneralistSample;

/// <summary>The tasks of the sample and their rows.</summary>
/// <param name="Tasks">The tasks that are trained.</param>
/// <param name="Training">Rows to train on, by task.</param>
/// <param name="Test">Rows to measure with, by task; those of <paramref name="Unseen"/> among them.</param>
/// <param name="Unseen">A task that is not trained, and a few rows of it for prompts; null for none.</param>
internal sealed record SampleData(
    IReadOnlyList<GeneralistTask> Tasks,
    IReadOnlyDictionary<string, IDataView> Training,
    IReadOnlyDictionary<string, IDataView> Test,
    (GeneralistTask Task, IDataView Few)? Unseen = null)
{
    /// <summary>
    /// An attribute that the paper's table lacks: what moves is the same whether one asks what it is or where it goes, and this tells
    /// the two apart.
    /// </summary>
    public const string AsksMotion = "AsksMotion";

    private const int VideoImages = 8000;
    private const int TestImages = 2000;
    private const int TestPassages = 500;

    /// <summary>Reads what a user asked for.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="folder">A folder of <see cref="RealData"/>; null for what comes with the samples.</param>
    /// <exception cref="IOException">A file is missing or damaged.</exception>
    /// <exception cref="InvalidDataException">A file holds something else.</exception>
    public static SampleData Read(MLContext ml, string? folder = null) => folder is null ? ReadShipped(ml) : RealData.Read(ml, folder);

    /// <summary>All training rows as one view.</summary>
    public IDataView Combine(MLContext ml) => ml.Data.CombineTasks([.. Tasks.Select(task => (task.Name, Training[task.Name]))]);

    private static SampleData ReadShipped(MLContext ml)
    {
        GeneralistTask[] tasks =
        [
            new() { Name = "clothes", Kind = GeneralistTaskKind.ImageClassification, ClassNames = Clothes.Names, SamplingRatio = 1.5 },
            new()
            {
                Name = "motion",
                Kind = GeneralistTaskKind.VideoClassification,
                ClassNames = Clothes.Directions,
                InputAttributes = [.. AttributeTable.AttributesOf(StandardRole.ClassifiedPicture), AsksMotion],
            },
            new() { Name = "reviews", Kind = GeneralistTaskKind.TextClassification, ClassNames = Texts.Opinions },
            new() { Name = "masked words", Kind = GeneralistTaskKind.MaskedLanguageModel, SamplingRatio = 1.5 },
            new() { Name = "emoji captions", Kind = GeneralistTaskKind.ImageCaption, SamplingRatio = 1.5 },
            new() { Name = "emoji retrieval", Kind = GeneralistTaskKind.ImageTextRetrieval },
        ];

        // Images are named and videos are told where they go, but no video is ever named. The attributes are those of the named images.
        var unseen = new GeneralistTask
        {
            Name = "clothes in motion",
            Kind = GeneralistTaskKind.VideoClassification,
            ClassNames = Clothes.Names,
        };

        var (train, test) = (
            FashionMnistData.ReadTrain(FashionMnistData.ShippedDirectory),
            FashionMnistData.ReadTest(FashionMnistData.ShippedDirectory).Take(TestImages).ToArray());
        var emoji = Emoji.Read();
        var passages = Texts.Passages();
        return new(
            tasks,
            new Dictionary<string, IDataView>
            {
                ["clothes"] = ml.Data.LoadFromEnumerable(Clothes.Images(train)),
                ["motion"] = ml.Data.LoadFromEnumerable(Clothes.Moving(train.Take(VideoImages), seed: 1)),
                ["reviews"] = ml.Data.LoadFromEnumerable(Texts.Reviews("train")),
                ["masked words"] = ml.Data.LoadFromEnumerable(passages.Training),
                ["emoji captions"] = ml.Data.LoadFromEnumerable(emoji.Training),
                ["emoji retrieval"] = ml.Data.LoadFromEnumerable(emoji.Training),
            },
            new Dictionary<string, IDataView>
            {
                ["clothes"] = ml.Data.LoadFromEnumerable(Clothes.Images(test)),
                ["motion"] = ml.Data.LoadFromEnumerable(Clothes.Moving(test, seed: 2)),
                ["reviews"] = ml.Data.LoadFromEnumerable(Texts.Reviews("test")),
                ["masked words"] = ml.Data.LoadFromEnumerable(passages.Test.Take(TestPassages)),
                ["emoji captions"] = ml.Data.LoadFromEnumerable(emoji.Test),
                ["emoji retrieval"] = ml.Data.LoadFromEnumerable(emoji.Test),
                [unseen.Name] = ml.Data.LoadFromEnumerable(Clothes.InMotion(test, seed: 2)),
            },
            (unseen, ml.Data.LoadFromEnumerable(Clothes.InMotion(train.Take(VideoImages / 100), seed: 3))));
    }
}
