using System.Globalization;
using Estimators.Tests.Generalists;
using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;

namespace Estimators.Tests.Persistence;

/// <summary>
/// Writes the golden zips of the present format version, for a WideNet, a Sparse-MLP, a ViT with experts, a language model and a
/// generalist, where there are none yet: <c>MOE_ML_TEST_WRITE_GOLDEN=test/Estimators.Tests/Persistence dotnet run --project
/// test/Estimators.Tests</c>. A zip is never written again.
/// </summary>
internal static class GoldenZip
{
    /// <summary>The name of a WideNet's files of the present version.</summary>
    public const string Name = "golden-0x00010002";

    /// <summary>The name of a Sparse-MLP's.</summary>
    public const string SparseMlpName = "golden-sparse-mlp-0x00010002";

    /// <summary>The name of a ViT's.</summary>
    public const string VisionTransformerName = "golden-vit-0x00010002";

    /// <summary>The name of a language model's, whose format has versions of its own.</summary>
    public const string LanguageModelName = "golden-language-model-0x00010002";

    /// <summary>
    /// The name of a generalist's, whose format has versions of its own: tuned by prompts for its first task, with a linear head.
    /// </summary>
    public const string GeneralistName = "golden-generalist-0x00010002";

    /// <summary>Rows that are scored.</summary>
    public const int Rows = 10;

    // The last one predicts tokens.
    private static readonly string[] GeneralistTasks = ["colour", "film", "mood", "masked"];

    /// <summary>The path of a golden file beside the tests.</summary>
    public static string File(string name) => Path.Combine(AppContext.BaseDirectory, "Persistence", name);

    /// <summary>Writes instead of running tests where the variable above asks for it.</summary>
    /// <returns>Whether it did.</returns>
    public static bool Write()
    {
        if (Environment.GetEnvironmentVariable("MOE_ML_TEST_WRITE_GOLDEN") is not { Length: > 0 } folder)
            return false;

        Write(folder, Name, Colours.Options());
        Write(folder, SparseMlpName, Colours.SparseMlpOptions());
        Write(folder, VisionTransformerName, Colours.VisionTransformerOptions());
        Write(
            folder,
            LanguageModelName,
            ml => ml.Transforms.Text.PeerLanguageModel(LanguageModelOptions()),
            ml => Rhymes.Data(ml),
            FreshProcess.DescribeTexts);
        Write(folder, GeneralistName, TunedGeneralist, ml => Toys.View(ml, Toys.Rows(GeneralistTasks, 24, seed: 1)), DescribeTasks);
        return true;
    }

    /// <summary>What a generalist says: the tasks with the classes and scores of some rows, and how well masked words are told.</summary>
    public static string DescribeTasks(MLContext ml, ITransformer model)
    {
        var generalist = (GeneralistTransformer)model;   // a tuned one knows the names of one task only
        var lines = GeneralistTasks[..^1]
            .SelectMany(task =>
            {
                var scored = generalist.ForTask(Task(task)).Transform(Toys.View(ml, Toys.Rows(task, 4, seed: 2)));
                return scored
                    .GetColumn<uint>("PredictedLabel")
                    .Zip(scored.GetColumn<float[]>("Score"), (label, scores) => Line(task, label, scores));
            });
        var masked = generalist
            .ForTask(Task(GeneralistTasks[^1]))
            .EvaluateTokens(Toys.View(ml, Toys.Rows(GeneralistTasks[^1], 8, seed: 2)));
        return string.Join('\n', lines.Append(Line(GeneralistTasks[^1], (uint)masked.Tokens, (float)masked.Loss)));

        static GeneralistTask Task(string name) => Toys.All.Single(task => task.Name == name);

        static string Line(string task, uint number, params IEnumerable<float> values) =>
            $"{task} {number} {string.Join(' ', values.Select(value => value.ToString("R", CultureInfo.InvariantCulture)))}";
    }

    private static void Write(string folder, string name, ImageClassificationOptions options) =>
        Write(
            folder,
            name,
            ml => Colours.Pipeline(ml, options),
            ml => ml.Data.LoadFromEnumerable(Colours.Rows(80)),
            (ml, model) => FreshProcess.Describe(ml, model, Rows));

    private static void Write<T>(
        string folder,
        string name,
        Func<MLContext, IEstimator<T>> estimator,
        Func<MLContext, IDataView> load,
        Func<MLContext, ITransformer, string> describe)
        where T : class, ITransformer => Write(folder, name, (ml, data) => estimator(ml).Fit(data), load, describe);

    private static void Write(
        string folder,
        string name,
        Func<MLContext, IDataView, ITransformer> fit,
        Func<MLContext, IDataView> load,
        Func<MLContext, ITransformer, string> describe)
    {
        var path = Path.Combine(folder, name);
        if (System.IO.File.Exists(path + ".zip"))
            return;
        var ml = new MLContext(seed: 1);
        var data = load(ml);
        var model = fit(ml, data);
        using var disposed = model as IDisposable;
        ml.Model.Save(model, data.Schema, path + ".zip");
        System.IO.File.WriteAllText(path + ".txt", describe(ml, model) + "\n");
    }

    private static GeneralistTransformer TunedGeneralist(MLContext ml, IDataView data)
    {
        var options = GeneralistOptions();
        using var model = ml.Transforms.UniPerceiverGeneralist(options).Fit(data);
        return model.TunePrompts(
            options.Tasks[0],
            Toys.View(ml, Toys.Rows(GeneralistTasks[0], 24, seed: 3)),
            new PromptTuningOptions { Prompts = 3, MaxSteps = 6 }
        );
    }

    // A few thousand weights, and all that a zip can have: images, videos, texts, experts in one of two blocks.
    private static UniPerceiverGeneralist.Options GeneralistOptions()
    {
        var options = Toys.Options(GeneralistTasks);
        (options.Tokenizer, options.Epochs) = (TokenizerOptions.BytePairs(264), 6);
        options.Alter(a => a with { TextLength = 20 });
        options.Alter(a => a with { Block = a.Block with { Width = 16, FeedForwardWidth = 16, Experts = 3 } });
        return options;
    }

    // A few thousand weights. What continues a text is not left to chance, which a last digit could turn.
    private static PeerLanguageModel.Options LanguageModelOptions()
    {
        var options = Rhymes.Options();
        (options.Epochs, options.Tokenizer) = (6, TokenizerOptions.Characters);
        options.Alter(a => a with { Width = 16, FeedForwardWidth = 32 });
        options.Alter(a => a with { SparseLayer = new PeerOptions { Experts = 64, Heads = 2, ExpertsPerHead = 4, QueryWidth = 8 } });
        options.Continuation = new GenerationOptions { MaxTokens = 6, Temperature = 0 };
        return options;
    }
}
