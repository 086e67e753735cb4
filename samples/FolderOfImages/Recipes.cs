using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;

namespace FolderOfImages;

/// <summary>Options of the classifier that suit some kind of pictures.</summary>
internal static class Recipes
{
    /// <summary>The recipe for photographs of any size and number: a start.</summary>
    public const string Default = "photos";

    /// <summary>The recipe for CIFAR-10; <c>results/</c> says how it was chosen.</summary>
    public const string Cifar10 = "cifar10";

    /// <summary>The names of all recipes.</summary>
    public static IReadOnlyList<string> Names { get; } = [Default, Cifar10];

    /// <summary>Fresh options of a recipe.</summary>
    public static WideNetImageClassifier.Options Create(string name) =>
        name switch
        {
            // From short trainings on held-out pictures (results/cifar10.md). Optimizer and rates are those that suit a stem.
            Cifar10 => new()
            {
                Architecture = WideNetConfig.Thumbnail with { Width = 96, ExpertWidth = 192 },
                ImageHeight = 32,
                ImageWidth = 32,
                PatchSize = 4,
                Epochs = 18,
                BatchSize = 100,
                RandomCropPadding = 4,
                AlternatingFlips = true,
                ScoringViews = ScoringViews.Mirrored,
            },
            _ => new()
            {
                ImageHeight = 64,
                ImageWidth = 64,
                PatchSize = 8,
                Epochs = 20,
                LearningRate = 2e-3,
                RandomCropPadding = 8,
                HorizontalFlip = true,
            },
        };
}
