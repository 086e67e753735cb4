using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;

namespace GeneralistSample;

/// <summary>The model of the sample.</summary>
internal static class SampleModel
{
    /// <summary>Side of images and frames in pixels; pictures of another size are resized.</summary>
    public const int Side = ImageRow.Side;

    /// <summary>Steps of the sample's training.</summary>
    public const int Steps = 5000;

    /// <summary>
    /// How prompts are trained for a task from a few examples: what was best on clothes that are neither in the videos nor in the test
    /// images. A head of its own learns 80 examples by heart.
    /// </summary>
    public static PromptTuningOptions Prompting { get; } = new() { MaxSteps = 150, LearningRate = 3e-3, ClassificationHead = false };

    /// <summary>Options of a training.</summary>
    /// <param name="data">The tasks.</param>
    /// <param name="steps">Its steps.</param>
    public static UniPerceiverGeneralist.Options Options(SampleData data, int steps) => new()
    {
        Tasks = data.Tasks,
        Architecture = GeneralistConfig.Small with
        {
            TextLength = 128,
            Block = new ConditionalBlockOptions { Width = 64, Heads = 4, FeedForwardWidth = 256, Experts = 8, LayerScale = 0.3 },
            Attributes = [.. AttributeTable.Names, SampleData.AsksMotion],
        },
        Tokenizer = TokenizerOptions.BytePairs(512),
        Channels = 3,
        ImageHeight = Side,
        ImageWidth = Side,
        PatchSize = 8,
        MaxSteps = steps,
        Epochs = 1000,
        BatchSize = 32,
        LearningRate = 2e-3,
    };
}
