using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;

namespace GeneralistSample;

/// <summary>The process that uses a saved model for all its tasks, and for one that it was never trained for.</summary>
internal static class ModelServer
{
    private const int Shown = 3;

    /// <summary>Loads a model and prints what it says about a few rows of every task.</summary>
    public static int Run(string modelFile)
    {
        var mlContext = new MLContext();
        var data = SampleData.Read(mlContext);
        using var model = (GeneralistTransformer)mlContext.Model.Load(modelFile, out _);
        foreach (var task in model.Tasks.Append(SampleData.InMotion))
        {
            var rows = mlContext.Data.TakeRows(data.Test[task.Name], Shown);
            Console.WriteLine($"{task.Name}: {string.Join("; ", Answers(mlContext, model.ForTask(task), rows))}");
        }

        // The sample's last line, to compare with the table above: the model that was loaded is the one that was saved.
        var clothes = Scoring.Measure(mlContext, model, data).First();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{clothes.Task}: {clothes.Metric} {clothes.Value:F4}"));
        return 0;
    }

    private static IEnumerable<string> Answers(MLContext mlContext, GeneralistTaskTransformer task, IDataView rows)
    {
        if (task.Task.Kind.IsClassification())
        {
            var scored = task.Transform(rows);
            var named = mlContext.Transforms.Conversion.MapKeyToValue("Class", "PredictedLabel").Fit(scored).Transform(scored);
            return named.GetColumn<string>("Label").Zip(named.GetColumn<string>("Class"), (label, found) => $"'{label}' is called '{found}'");
        }
        if (task.Task.Kind.IsRetrieval())
        {
            var scored = task.Transform(rows);
            string[] texts = [.. scored.GetColumn<string>("Text")];
            float[][] names = [.. scored.GetColumn<float[]>("TextEmbedding")];
            return scored.GetColumn<float[]>("PictureEmbedding").Zip(texts, (picture, text) =>
                $"of {texts.Distinct().Count()} names the nearest to '{text}' is '{texts[Array.IndexOf(names, names.MaxBy(name => name.Zip(picture, (a, b) => a * b).Sum()))]}'");
        }
        if (task.Task.Kind == GeneralistTaskKind.MaskedLanguageModel)
        {
            // The last word of each text is masked; its first line names who speaks.
            var masked = mlContext.Data.LoadFromEnumerable(rows.GetColumn<string>("Text").Select(text => new TextRow { Text = text.Split('\n')[^1] }).Select(row =>
                new TextRow { Text = row.Text.LastIndexOf(' ') is var space and >= 0 ? $"{row.Text[..space]} [MASK]" : row.Text }));
            return masked.GetColumn<string>("Text").Zip(task.Transform(masked).GetColumn<string>("PredictedText"), (text, filled) => $"'{text}' becomes '{filled}'");
        }
        return rows.GetColumn<string>("Text").Zip(task.Transform(rows).GetColumn<string>("PredictedText"), (text, found) => $"'{text}' is described as '{found}'");
    }
}
