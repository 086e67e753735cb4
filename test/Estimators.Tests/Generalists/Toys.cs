using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;

namespace Estimators.Tests.Generalists;

/// <summary>Tasks of every kind that a tiny model learns in seconds: colours of noisy images and films, and moods of words.</summary>
internal static class Toys
{
    public static readonly string[] Moods = ["happy", "sad"];
    private static readonly string[] Happy = ["sun", "cake", "song", "friend"];
    private static readonly string[] Sad = ["rain", "wound", "loss", "storm"];

    /// <summary>A task of each kind.</summary>
    public static readonly GeneralistTask[] All =
    [
        Classes("colour", GeneralistTaskKind.ImageClassification, Colours.Names),
        Classes("film", GeneralistTaskKind.VideoClassification, Colours.Names),
        Classes("mood", GeneralistTaskKind.TextClassification, Moods),
        Classes("pair", GeneralistTaskKind.TextPairClassification, ["same", "different"]) with { SamplingRatio = 3 },
        new() { Name = "find", Kind = GeneralistTaskKind.ImageTextRetrieval },
        new() { Name = "find film", Kind = GeneralistTaskKind.VideoTextRetrieval },
        new() { Name = "masked", Kind = GeneralistTaskKind.MaskedLanguageModel },
        new() { Name = "next", Kind = GeneralistTaskKind.CausalLanguageModel },
        new() { Name = "caption", Kind = GeneralistTaskKind.ImageCaption },
        new() { Name = "film caption", Kind = GeneralistTaskKind.VideoCaption },
    ];

    /// <summary>Options of a model small enough for tests.</summary>
    public static UniPerceiverGeneralist.Options Options(params string[] tasks) => new()
    {
        Tasks = [.. tasks.Select(name => All.Single(task => task.Name == name))],
        ImageColumnName = "Features",
        Tokenizer = TokenizerOptions.BytePairs(300),
        Architecture = GeneralistConfig.Small with
        {
            TextLength = 24,
            Blocks = 2,
            Block = new ConditionalBlockOptions { Width = 32, Heads = 2, FeedForwardWidth = 64, Experts = 4, LayerScale = 0.3 },
        },
        PatchSize = 4,
        Epochs = 20,
        BatchSize = 16,
        LearningRate = 4e-3,
        Threads = 1,
        Seed = 3,
    };

    /// <summary>Rows of a task.</summary>
    public static List<GeneralistRow> Rows(string task, int count, int seed)
    {
        var random = new Random(seed);
        return [.. Colours.Rows(count, seed).Select(colour => task switch
        {
            "colour" => new GeneralistRow { Task = task, Features = colour.Features, Label = colour.Label! },
            "film" => new GeneralistRow { Task = task, Video = Film(colour.Features), Label = colour.Label! },
            "find" => new GeneralistRow { Task = task, Features = colour.Features, Text = $"something {colour.Label}" },
            "find film" => new GeneralistRow { Task = task, Video = Film(colour.Features), Text = $"something {colour.Label}" },
            "caption" => new GeneralistRow { Task = task, Features = colour.Features, Text = $"a {colour.Label} picture" },
            "film caption" => new GeneralistRow { Task = task, Video = Film(colour.Features), Text = $"a {colour.Label} picture" },
            _ => Text(task, random),
        })];
    }

    /// <summary>Rows of several tasks, as many of each.</summary>
    public static List<GeneralistRow> Rows(IEnumerable<string> tasks, int each, int seed) =>
        [.. tasks.SelectMany(task => Rows(task, each, seed))];

    /// <summary>The rows as a data view.</summary>
    public static IDataView View(MLContext ml, IEnumerable<GeneralistRow> rows) => ml.Data.LoadFromEnumerable(rows);

    /// <summary>
    /// The part of the rows that a classification gets right, told by ML.NET's evaluator, which compares keys: the labels get those of
    /// the model's classes.
    /// </summary>
    public static double Accuracy(MLContext ml, GeneralistTaskTransformer task, IEnumerable<GeneralistRow> rows)
    {
        var names = ml.Data.LoadFromEnumerable(task.Task.ClassNames!.Select(name => new ClassRow { Label = name }));
        var view = View(ml, rows);
        var keyed = ml.Transforms.Conversion.MapValueToKey("Label", keyData: names).Fit(view).Transform(view);
        return ml.MulticlassClassification.Evaluate(task.Transform(keyed)).MicroAccuracy;
    }

    private static GeneralistTask Classes(string name, GeneralistTaskKind kind, string[] classes) =>
        new() { Name = name, Kind = kind, ClassNames = classes };

    private static GeneralistRow Text(string task, Random random)
    {
        var (mood, other) = (random.Next(2), random.Next(2));
        return task switch
        {
            "pair" => new GeneralistRow
            {
                Task = task,
                Text = $"a {Word(mood, random)}",
                SecondText = $"the {Word(other, random)}",
                Label = mood == other ? "same" : "different",
            },
            "mood" => new GeneralistRow
            {
                Task = task,
                Text = $"{Word(mood, random)} and {Word(mood, random)}",
                Label = Moods[mood],
            },
            _ => new GeneralistRow { Task = task, Text = $"the {Word(mood, random)} is {Moods[mood]}" },
        };
    }

    private static string Word(int mood, Random random) => (mood == 0 ? Happy : Sad)[random.Next(4)];

    // Two frames, the second darker; channels last.
    private static byte[] Film(float[] image_CHW)
    {
        var film = new byte[2 * image_CHW.Length];
        for (var i = 0; i < image_CHW.Length; i++)
        {
            var place = (i % 64 * 3) + (i / 64);
            (film[place], film[image_CHW.Length + place]) = ((byte)image_CHW[i], (byte)(image_CHW[i] * 0.8f));
        }
        return film;
    }
}
