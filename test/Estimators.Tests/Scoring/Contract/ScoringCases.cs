using Estimators.Tests.Generalists;
using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;

namespace Estimators.Tests.Scoring.Contract;

/// <summary>
/// Every transformer of the project that adds columns: all image classifiers that tests can train, with embedding and without, every
/// task of a generalist, all language models.
/// </summary>
internal static class ScoringCases
{
    private const int Rows = 9;
    private const int Blank = 3;   // the row that has nothing to score

    /// <summary>The image classifiers, by preset.</summary>
    public static IEnumerable<string> Images =>
        ImageClassifierPresets.All.Select(preset => preset.Name).Where(name => name.Contains("-tiny", StringComparison.Ordinal));

    /// <summary>The language models, by preset.</summary>
    public static IEnumerable<string> LanguageModels =>
        LanguageModelPresets.All.Select(preset => preset.Name).Where(name => name.StartsWith("lm-nano", StringComparison.Ordinal));

    /// <summary>Presets of which what counts within an item has places for an even share and no more when predicting.</summary>
    public static IEnumerable<string> Tight => ["widenet-tiny", "widenet-tiny-groups", "vit-moe-tiny", "sparse-mlp-tiny", "lm-nano-moe"];

    /// <summary>The generalist's tasks.</summary>
    public static IEnumerable<string> Tasks => Toys.All.Select(task => task.Name);

    /// <summary>An image classifier.</summary>
    public static ScoringCase Image(MLContext ml, string preset, bool withEmbedding, ExpertCapacity? capacity = null)
    {
        var architecture = ImageClassifierPresets.All.Single(one => one.Name == preset).Config;
        var options = Options(architecture switch
        {
            TransformerClassifierConfig transformer => transformer with { EvaluationCapacity = capacity },
            SparseMlpConfig sparse => sparse with { EvaluationCapacity = capacity },
            _ => architecture,
        });
        if (withEmbedding)
            options.EmbeddingColumnName = "Embedding";
        var rows = Colours.Rows(Rows, seed: 9);
        rows[Blank].Features[0] = float.NaN;
        return new ScoringCase<ColourRow> { Model = Colours.Trainer(ml, options).Fit(Colours.WithKeys(ml, Colours.Rows(64))), Rows = rows };
    }

    /// <summary>An image classifier of pictures.</summary>
    public static ScoringCase Pictures(MLContext ml)
    {
        var options = Options(WideNetConfig.Tiny);
        (options.ImageHeight, options.ImageWidth, options.EmbeddingColumnName) = (8, 8, "Embedding");
        var rows = Colours.Pictures(Rows, seed: 9);
        rows[Blank].Features = null;
        return new ScoringCase<PictureRow>
        {
            Model = Colours.Trainer(ml, options).Fit(Colours.WithKeys(ml, Colours.Pictures(64))),
            Rows = rows,
        };
    }

    /// <summary>A language model with all its columns.</summary>
    public static ScoringCase LanguageModel(MLContext ml, string preset, ExpertCapacity? capacity = null)
    {
        var architecture = LanguageModelPresets.All.Single(one => one.Name == preset).Config;
        if (architecture.SparseLayer is MixtureSlotOptions mixture)
            architecture = architecture with
            {
                SparseLayer = mixture with { Mixture = mixture.Mixture with { EvaluationCapacity = capacity } },
            };
        var options = new PeerLanguageModel.Options
        {
            Architecture = architecture with { ContextLength = 16 },
            EmbeddingColumnName = "Embedding",
            ContinuationColumnName = "Continuation",
            Continuation = new GenerationOptions { MaxTokens = 4 },
            Epochs = 8,
            BatchSize = 4,
            LearningRate = 1e-2,
            Precision = Precision.Float32,
            Seed = 3,
            PredictionBatchSize = 4,
        };
        return new ScoringCase<TextRow>
        {
            Model = ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(ml)),
            Rows = [.. Rhymes.Rows(Rows)],
        };
    }

    /// <summary>A generalist's task.</summary>
    public static ScoringCase Generalist(GeneralistTransformer model, string task)
    {
        var rows = Toys.Rows(task, Rows, seed: 9);
        rows[Blank] = new GeneralistRow { Features = Array.ConvertAll(rows[0].Features, _ => float.NaN), Video = [] };
        if (task == "masked")
        {
            foreach (var row in rows.Skip(1))   // the first has nothing to fill in
                row.Text = row.Text.Replace(" is ", " [MASK] ", StringComparison.Ordinal);
        }
        if (task == "next")
            rows.ForEach(row => row.Text = row.Text[..(row.Text.LastIndexOf(' ') + 1)].TrimEnd());
        return new ScoringCase<GeneralistRow> { Model = model.ForTask(task), Rows = rows };
    }

    /// <summary>A generalist.</summary>
    public static GeneralistTransformer Generalist(MLContext ml, RoutingLevel level, params string[] tasks)
    {
        var options = Toys.Options(tasks);
        (options.EmbeddingColumnName, options.Epochs, options.PredictionBatchSize) = ("Embedding", 16, 4);
        options.Alter(a => a with { Block = a.Block with { RoutingLevel = level } });
        return ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(ml, Toys.Rows(tasks, 32, seed: 1)));
    }

    /// <summary>Options of an image classifier.</summary>
    public static ImageClassificationOptions Options(ImageClassifierConfig architecture)
    {
        ImageClassificationOptions options = architecture switch
        {
            WideNetConfig wideNet => new WideNetImageClassifier.Options { Architecture = wideNet, PatchSize = wideNet.PatchSize },
            VisionTransformerConfig vit => new VisionTransformerImageClassifier.Options { Architecture = vit, PatchSize = vit.PatchSize },
            SparseMlpConfig sparse => new SparseMlpTrainer.Options { Architecture = sparse, PatchSize = sparse.PatchSize },
            MlpMixerConfig => new SparseMlpTrainer.Options
            {
                Architecture = SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.None },
                PatchSize = 4,
            },
            _ => throw new ArgumentException($"No options for {architecture.GetType()}.", nameof(architecture)),
        };
        (options.Epochs, options.BatchSize, options.LearningRate, options.Seed, options.Precision, options.PredictionBatchSize) = (
            3, 16, 5e-3, 7, Precision.Float32, 4);
        return options;
    }
}
