using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;

namespace GeneralistSample;

/// <summary>The model of the sample. Its sizes and rates were set by speed and have not been tuned.</summary>
internal static class SampleModel
{
    /// <summary>Options of a training.</summary>
    /// <param name="steps">Its steps.</param>
    public static UniPerceiverGeneralist.Options Options(int steps) => new()
    {
        Tasks = SampleData.Tasks,
        Attributes = [.. AttributeTable.Names, SampleData.AsksMotion],
        Tokenizer = TokenizerOptions.BytePairs(512),
        TextLength = 64,
        PatchSize = 8,
        Blocks = 4,
        Block = new ConditionalBlockOptions { Width = 96, Heads = 4, FeedForwardWidth = 384, Experts = 8, LayerScale = 0.1 },
        MaxSteps = steps,
        Epochs = 1000,
        BatchSize = 32,
        LearningRate = 2e-3,
    };
}
