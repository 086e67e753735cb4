using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;

namespace Samples.Comparison;

/// <summary>One of the models that an experiment compares.</summary>
/// <param name="Name">What the table calls it.</param>
/// <param name="CreateEstimator">Makes its estimator, with the training that all variants share.</param>
internal sealed record Variant(string Name, Func<MLContext, Action<ImageClassificationOptions>, ImageClassifierEstimator> CreateEstimator)
{
    /// <summary>Whether the model first learns from images without labels (MoCo v3).</summary>
    public bool Pretrained { get; init; }

    /// <summary>A WideNet.</summary>
    public static Variant WideNet(string name, WideNetConfig architecture, Precision precision = Precision.Auto) =>
        new(name, (mlContext, train) =>
        {
            var options = new WideNetImageClassifier.Options
            {
                Architecture = architecture,
                PatchSize = architecture.PatchSize,
                Precision = precision,
            };
            train(options);
            return mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(options);
        });

    /// <summary>A ViT or a ViT-MoE.</summary>
    public static Variant VisionTransformer(string name, VisionTransformerConfig architecture) => new(name, (mlContext, train) =>
    {
        var options = new VisionTransformerImageClassifier.Options { Architecture = architecture, PatchSize = architecture.PatchSize };
        train(options);
        return mlContext.MulticlassClassification.Trainers.VisionTransformerImageClassifier(options);
    });

    /// <summary>A Sparse-MLP, or a dense MLP-Mixer where no block is sparse.</summary>
    public static Variant SparseMlp(string name, SparseMlpConfig architecture) => new(name, (mlContext, train) =>
    {
        var options = new SparseMlpTrainer.Options { Architecture = architecture, PatchSize = architecture.PatchSize };
        train(options);
        return mlContext.MulticlassClassification.Trainers.SparseMlp(options);
    });
}
