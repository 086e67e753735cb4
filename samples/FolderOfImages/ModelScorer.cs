using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace FolderOfImages;

/// <summary>The process that uses a saved model: it knows ML.NET and the zip, and nothing of how the model was made.</summary>
internal static class ModelScorer
{
    private const int Shown = 3;

    /// <summary>Loads a model, classifies pictures and prints the most probable classes of each.</summary>
    public static int Run(string modelFile, IReadOnlyList<string> pictures)
    {
        var mlContext = new MLContext();
        var model = mlContext.Model.Load(modelFile, out _);
        var scored = model.Transform(mlContext.Data.LoadFromEnumerable(pictures.Select(path => new ImageFile { Path = path })));
        var classes = default(VBuffer<ReadOnlyMemory<char>>);
        scored.Schema["Score"].GetSlotNames(ref classes);
        var names = classes.DenseValues().ToArray();

        foreach (var (path, scores) in pictures.Zip(scored.GetColumn<float[]>("Score")))
            Console.WriteLine($"{path}: {(scores.Any(float.IsNaN) ? "cannot be read" : Describe(names, scores))}");
        return 0;
    }

    private static string Describe(ReadOnlyMemory<char>[] names, float[] scores) =>
        string.Join(
            ", ",
            scores
                .Zip(names)
                .OrderByDescending(pair => pair.First)
                .Take(Shown)
                .Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Second} {pair.First:P1}")));
}
