using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;

namespace GeneralistSample;

/// <summary>The process that uses a saved model for all its tasks, and for one that it was never trained for.</summary>
internal static class ModelServer
{
    /// <summary>The model.</summary>
    public const string ModelFile = "model.zip";

    /// <summary>What was trained beside it for the task that it had not been trained for.</summary>
    public const string PromptFile = "prompts.safetensors";

    private const int Shown = 3;

    /// <summary>Loads the model and prints what it says about a few rows of every task.</summary>
    /// <param name="folder">The folder of data that it was trained on; null for what comes with the samples.</param>
    public static int Run(string? folder)
    {
        var mlContext = new MLContext();
        var data = SampleData.Read(mlContext, folder);
        using var model = (GeneralistTransformer)mlContext.Model.Load(ModelFile, out _);
        foreach (var task in model.Tasks)
            Say(mlContext, model, task, data);
        if (data.Unseen is var (unseen, _))
        {
            using var prompted = model.LoadPrompts(PromptFile);
            Say(mlContext, prompted, unseen, data);
        }

        // The sample's last line, to compare with the table above: the model that was loaded is the one that was saved.
        var first = Scoring.Measure(mlContext, model, model.Tasks[0], data).First();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{first.Task}: {first.Metric} {first.Value:F4}"));
        return 0;
    }

    private static void Say(MLContext mlContext, GeneralistTransformer model, GeneralistTask task, SampleData data) =>
        Console.WriteLine(
            $"{task.Name}: {string.Join("; ", Answers(mlContext, model.ForTask(task), mlContext.Data.TakeRows(data.Test[task.Name], Shown)))}");

    private static IEnumerable<string> Answers(MLContext mlContext, GeneralistTaskTransformer task, IDataView rows)
    {
        if (task.Task.Kind.IsClassification())
        {
            var scored = task.Transform(rows);
            var named = mlContext.Transforms.Conversion.MapKeyToValue("Class", "PredictedLabel").Fit(scored).Transform(scored);
            return named
                .GetColumn<string>("Label")
                .Zip(named.GetColumn<string>("Class"), (label, found) => $"'{label}' is called '{found}'");
        }
        if (task.Task.Kind.IsRetrieval())
        {
            var scored = task.Transform(rows);
            string[] texts = [.. scored.GetColumn<string>("Text")];
            float[][] names = [.. scored.GetColumn<float[]>("TextEmbedding")];
            return scored
                .GetColumn<float[]>("PictureEmbedding")
                .Zip(texts, (picture, text) =>
                    $"of {texts.Distinct().Count()} names the nearest to '{text}' is "
                        + $"'{texts[Array.IndexOf(names, names.MaxBy(name => name.Zip(picture, (a, b) => a * b).Sum()))]}'");
        }
        if (task.Task.Kind == GeneralistTaskKind.MaskedLanguageModel)
        {
            // The last word of each text is masked; its first line names who speaks.
            var masked = mlContext.Data.LoadFromEnumerable(
                rows.GetColumn<string>("Text")
                    .Select(text => new TextRow { Text = text.Split('\n')[^1] })
                    .Select(row => new TextRow
                    {
                        Text = row.Text.LastIndexOf(' ') is var space and >= 0 ? $"{row.Text[..space]} [MASK]" : row.Text,
                    }));
            return masked
                .GetColumn<string>("Text")
                .Zip(task.Transform(masked).GetColumn<string>("PredictedText"), (text, filled) => $"'{text}' becomes '{filled}'");
        }
        return rows.GetColumn<string>("Text")
            .Zip(task.Transform(rows).GetColumn<string>("PredictedText"), (text, found) => $"'{text}' is described as '{found}'");
    }
}
