using Microsoft.ML;

namespace StockRivals;

/// <summary>What ML.NET has: a few lines each, with the options that it has by itself.</summary>
internal static class Stock
{
    private const int Side = 224;   // of ResNet-18's pictures

    /// <summary>Boosted trees on the pixels of a column of bytes.</summary>
    public static Contender LightGbm { get; } = new("stock", "LightGBM on pixels", (mlContext, _) =>
        mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.Transforms.Conversion.ConvertType("Features", "Image"))
            .Append(mlContext.MulticlassClassification.Trainers.LightGbm()));

    /// <summary>What ResNet-18, trained on ImageNet, sees in pictures, and a linear model on it.</summary>
    public static Contender ResNet18 { get; } = new("stock", "ResNet-18 of ImageNet + linear", (mlContext, _) =>
        mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.Transforms.LoadImages("Image", imageFolder: "", "Path"))
            .Append(mlContext.Transforms.ResizeImages("Image", Side, Side))
            .Append(mlContext.Transforms.ExtractPixels("Pixels", "Image"))
            .Append(mlContext.Transforms.DnnFeaturizeImage(
                "Features", input => input.ModelSelector.ResNet18(mlContext, input.OutputColumn, input.InputColumn), "Pixels"))
            .AppendCacheCheckpoint(mlContext)   // the linear model reads its features many times
            .Append(mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy()));
}
