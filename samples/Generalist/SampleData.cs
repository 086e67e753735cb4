using FashionMnist;
using Microsoft.ML;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;

namespace GeneralistSample;

/// <summary>The tasks of the sample and their rows.</summary>
/// <param name="Training">Rows to train on, by task.</param>
/// <param name="Test">Rows to measure with, by task; <see cref="InMotion"/> among them.</param>
internal sealed record SampleData(IReadOnlyDictionary<string, IDataView> Training, IReadOnlyDictionary<string, IDataView> Test)
{
    /// <summary>An attribute that the paper's table lacks: what moves is the same whether one asks what it is or where it goes, and this tells the two apart.</summary>
    public const string AsksMotion = "AsksMotion";

    private const int VideoImages = 8000;
    private const int TestImages = 2000;
    private const int TestPassages = 500;

    /// <summary>The tasks that are trained.</summary>
    public static IReadOnlyList<GeneralistTask> Tasks { get; } =
    [
        new() { Name = "clothes", Kind = GeneralistTaskKind.ImageClassification, ClassNames = Clothes.Names, SamplingRatio = 2 },
        new()
        {
            Name = "motion",
            Kind = GeneralistTaskKind.VideoClassification,
            ClassNames = Clothes.Directions,
            InputAttributes = [.. AttributeTable.AttributesOf(StandardRole.ClassifiedPicture), AsksMotion],
        },
        new() { Name = "reviews", Kind = GeneralistTaskKind.TextClassification, ClassNames = Texts.Opinions },
        new() { Name = "masked words", Kind = GeneralistTaskKind.MaskedLanguageModel },
        new() { Name = "emoji captions", Kind = GeneralistTaskKind.ImageCaption },
        new() { Name = "emoji retrieval", Kind = GeneralistTaskKind.ImageTextRetrieval },
    ];

    /// <summary>A task that is never trained: images are named and videos are told where they go, but no video is ever named. Its attributes are those of the named images.</summary>
    public static GeneralistTask InMotion { get; } = new() { Name = "clothes in motion", Kind = GeneralistTaskKind.VideoClassification, ClassNames = Clothes.Names };

    /// <summary>Reads what comes with the samples.</summary>
    /// <exception cref="IOException">A file is missing or damaged.</exception>
    public static SampleData Read(MLContext ml)
    {
        var (train, test) = (FashionMnistData.ReadTrain(FashionMnistData.ShippedDirectory), FashionMnistData.ReadTest(FashionMnistData.ShippedDirectory).Take(TestImages).ToArray());
        var emoji = Emoji.Read();
        var passages = Texts.Passages();
        return new(
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
                [InMotion.Name] = ml.Data.LoadFromEnumerable(Clothes.InMotion(test, seed: 2)),
            });
    }

    /// <summary>All training rows as one view.</summary>
    public IDataView Combine(MLContext ml) => ml.Data.CombineTasks([.. Tasks.Select(task => (task.Name, Training[task.Name]))]);
}
