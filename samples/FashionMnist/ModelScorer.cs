using System.Globalization;
using Microsoft.ML;

namespace FashionMnist;

/// <summary>The process that uses a saved model: it knows ML.NET and the zip, and nothing of how the model was made.</summary>
internal static class ModelScorer
{
    /// <summary>Loads a model, classifies the whole test set and prints the accuracy.</summary>
    public static int Run(string modelFile, string directory)
    {
        var mlContext = new MLContext();
        var model = mlContext.Model.Load(modelFile, out _);
        var test = mlContext.Data.LoadFromEnumerable(FashionMnistData.ReadTest(directory));
        var metrics = mlContext.MulticlassClassification.Evaluate(model.Transform(test));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"accuracy {metrics.MicroAccuracy:F4}"));
        return 0;
    }
}
