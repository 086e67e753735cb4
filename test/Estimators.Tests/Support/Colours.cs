using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.Transforms;

namespace Estimators.Tests.Support;

/// <summary>Data that a tiny model learns within a second: noisy images that are mostly red, green, blue or white.</summary>
internal static class Colours
{
    public static readonly string[] Names = ["red", "green", "blue", "white"];

    public static List<ColourRow> Rows(int count, int seed = 1)
    {
        var random = new Random(seed);
        var rows = new List<ColourRow>(count);
        for (var i = 0; i < count; i++)
        {
            var label = random.Next(Names.Length);
            rows.Add(new ColourRow { Id = i, Label = Names[label], Features = [.. Pixels(label, 8, 8, random).Select(b => (float)b)] });
        }
        return rows;
    }

    public static List<PictureRow> Pictures(int count, int seed = 1)
    {
        var random = new Random(seed);
        var rows = new List<PictureRow>(count);
        for (var i = 0; i < count; i++)
        {
            var label = random.Next(Names.Length);
            rows.Add(new PictureRow { Id = i, Label = Names[label], Features = ToPicture(Pixels(label, 12, 10, random), 12, 10) });
        }
        return rows;
    }

    /// <summary>Options of a model small enough for tests.</summary>
    public static WideNetImageClassifier.Options Options() =>
        Quick(new WideNetImageClassifier.Options { Architecture = WideNetConfig.Tiny, PatchSize = 4 });

    /// <summary>The same of another architecture.</summary>
    public static SparseMlpTrainer.Options SparseMlpOptions() =>
        Quick(new SparseMlpTrainer.Options { Architecture = SparseMlpConfig.Tiny, PatchSize = 4 });

    /// <summary>And of a ViT with experts in its last block.</summary>
    public static VisionTransformerImageClassifier.Options VisionTransformerOptions() =>
        Quick(new VisionTransformerImageClassifier.Options { Architecture = VisionTransformerConfig.MoeTiny, PatchSize = 4 });

    /// <summary>The architectures that what every trainer keeps to is tested with, and options of each.</summary>
    public static IEnumerable<string> Architectures => ["WideNet", "SparseMlp"];

    /// <summary>Options of one of <see cref="Architectures"/>.</summary>
    public static ImageClassificationOptions OptionsOf(string architecture) => architecture switch
    {
        "WideNet" => Options(),
        "SparseMlp" => SparseMlpOptions(),
        _ => throw new ArgumentException($"No test options for '{architecture}'.", nameof(architecture)),
    };

    /// <summary>The estimator that the options are for.</summary>
    public static ImageClassifierEstimator Trainer(MLContext ml, ImageClassificationOptions options) => options switch
    {
        WideNetImageClassifier.Options wideNet => ml.MulticlassClassification.Trainers.WideNetImageClassifier(wideNet),
        VisionTransformerImageClassifier.Options vit => ml.MulticlassClassification.Trainers.VisionTransformerImageClassifier(vit),
        SparseMlpTrainer.Options sparseMlp => ml.MulticlassClassification.Trainers.SparseMlp(sparseMlp),
        _ => throw new ArgumentException($"No trainer for {options.GetType()}.", nameof(options)),
    };

    /// <summary>Label to key, the classifier, and the predicted key back to text.</summary>
    public static EstimatorChain<KeyToValueMappingTransformer> Pipeline(MLContext ml, ImageClassificationOptions options) =>
        ml.Transforms.Conversion.MapValueToKey("Label", keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue)
            .Append(Trainer(ml, options))
            .Append(ml.Transforms.Conversion.MapKeyToValue("PredictedLabel"));

    /// <summary>The rows with their label as a key.</summary>
    public static IDataView WithKeys<T>(MLContext ml, IEnumerable<T> rows) where T : class
    {
        var data = ml.Data.LoadFromEnumerable(rows);
        return ml
            .Transforms.Conversion.MapValueToKey("Label", keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue)
            .Fit(data)
            .Transform(data);
    }

    public static MLImage ToPicture(byte[] pixels_CHW, int height, int width)
    {
        var count = height * width;
        var bgra = new byte[count * 4];
        for (var i = 0; i < count; i++)
        {
            bgra[4 * i] = pixels_CHW[(2 * count) + i];
            bgra[(4 * i) + 1] = pixels_CHW[count + i];
            bgra[(4 * i) + 2] = pixels_CHW[i];
            bgra[(4 * i) + 3] = 255;
        }
        return MLImage.CreateFromPixels(width, height, MLPixelFormat.Bgra32, bgra);
    }

    private static T Quick<T>(T options) where T : ImageClassificationOptions
    {
        options.Epochs = 4;
        options.BatchSize = 16;
        options.LearningRate = 5e-3;
        options.Seed = 7;
        options.Precision = Precision.Float32;   // what tests compare must not depend on the CPU
        return options;
    }

    private static byte[] Pixels(int label, int height, int width, Random random)
    {
        var count = height * width;
        var pixels_CHW = new byte[3 * count];
        for (var i = 0; i < pixels_CHW.Length; i++)
            pixels_CHW[i] = (byte)((label == 3 || i / count == label ? 170 : 60) + random.Next(-50, 51));
        return pixels_CHW;
    }
}
