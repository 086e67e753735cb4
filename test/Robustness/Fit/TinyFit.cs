using System.IO.Compression;
using System.Security.Cryptography;
using Estimators.Tests.Generalists;
using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;

namespace Robustness.Fit;

/// <summary>A training of some tens of milliseconds, with a fixed seed.</summary>
/// <param name="Name">The estimator, and what is special about it here.</param>
/// <param name="Train">Trains and gives the model.</param>
internal sealed record TinyFit(string Name, Func<MLContext, ITransformer> Train)
{
    /// <summary>
    /// One of each estimator, with what their trainings do besides: pre-training, augmentation, other optimizers, clipping, a
    /// validation part.
    /// </summary>
    public static readonly IReadOnlyList<TinyFit> All =
    [
        new("WideNet", ml => FitColours(ml, new WideNetImageClassifier.Options { Architecture = WideNetConfig.Tiny, PatchSize = 4 })),
        new("WideNet, augmented", ml => FitColours(
                ml,
                new WideNetImageClassifier.Options
                {
                    Architecture = WideNetConfig.Tiny,
                    PatchSize = 4,
                    RandomCropPadding = 1,
                    HorizontalFlip = true,
                    Mixup = 0.5,
                    CutMix = 0.5,
                    RandomErasing = 0.5,
                    RandAugmentOperations = 1,
                    EmaDecay = 0.9,
                    GradientAccumulation = 2,
                }
            )),
        new("ViT-MoE, validated", ml => FitColours(
                ml,
                new VisionTransformerImageClassifier.Options
                {
                    Architecture = VisionTransformerConfig.MoeTiny,
                    PatchSize = 4,
                    ValidationFraction = 0.25,
                }
            )),
        new("Sparse-MLP, pre-trained", ml => FitColours(
                ml,
                new SparseMlpTrainer.Options
                {
                    Architecture = SparseMlpConfig.Tiny,
                    PatchSize = 4,
                    Pretraining = new MoCoPretraining
                    {
                        Epochs = 1,
                        BatchSize = 12,
                        HiddenWidth = 16,
                        OutputWidth = 8,
                    },
                }
            )),
        new("PEER", FitRhymes),
        new("Uni-Perceiver-MoE", FitTasks),
        new("Uni-Perceiver-MoE, tuned", TunePrompts),
    ];

    /// <summary>Trains, and gives a digest of the weights in the saved model.</summary>
    public string Run()
    {
        var ml = new MLContext(seed: 1);
        var model = Train(ml);
        using var zip = new MemoryStream();
        ml.Model.Save(model, null, zip);
        (model as IDisposable)?.Dispose();
        using var archive = new ZipArchive(zip, ZipArchiveMode.Read);
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var entry in archive.Entries.Where(entry => entry.FullName.EndsWith(".safetensors", StringComparison.Ordinal)))
        {
            using var content = new MemoryStream();
            using var stream = entry.Open();
            stream.CopyTo(content);
            digest.AppendData(content.ToArray());
        }
        return Convert.ToHexString(digest.GetHashAndReset())[..16];
    }

    private static ImageClassificationTransformer FitColours(MLContext ml, ImageClassificationOptions options)
    {
        (options.Epochs, options.BatchSize, options.Seed, options.Threads, options.GradientClipNorm) = (1, 12, 7, 1, 1);
        return Colours.Trainer(ml, options).Fit(Colours.WithKeys(ml, Colours.Rows(24)));
    }

    private static LanguageModelTransformer FitRhymes(MLContext ml)
    {
        var options = Rhymes.Options();
        (options.Epochs, options.Threads) = (1, 1);
        return ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(ml, 12));
    }

    private static GeneralistTransformer FitTasks(MLContext ml)
    {
        string[] tasks = ["colour", "masked", "find"];
        var options = Toys.Options(tasks);
        options.Epochs = 1;
        return ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(ml, Toys.Rows(tasks, 12, seed: 5)));
    }

    private static GeneralistTransformer TunePrompts(MLContext ml)
    {
        using var model = FitTasks(ml);
        return model.TunePrompts(
            Toys.All.Single(task => task.Name == "colour"),
            Toys.View(ml, Toys.Rows("colour", 8, seed: 6)),
            new PromptTuningOptions { MaxSteps = 2, Prompts = 2 }
        );
    }
}
