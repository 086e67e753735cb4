using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;

namespace Shakespeare;

/// <summary>The process that uses a saved model.</summary>
internal static class Playwright
{
    /// <summary>Loads a model, goes on where a text ended, measures the model and prints its loss.</summary>
    public static async Task<int> RunAsync(string modelFile, string prompt)
    {
        var mlContext = new MLContext();
        using var model = (LanguageModelTransformer)mlContext.Model.Load(modelFile, out _);
        await WriteAsync(model, prompt);

        var metrics = model.Evaluate(mlContext.Data.LoadFromEnumerable([ShakespeareText.Read().Validation]));
        foreach (var layer in metrics.Layers)
            Console.WriteLine(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"block {layer.Block} used {layer.Usage:P1} of {layer.Experts:N0} experts, unevenness {layer.Unevenness:F2}"));
        Console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"perplexity {metrics.Perplexity:F3}, {metrics.BitsPerByte:F3} bits per byte, over all {metrics.Tokens:N0} characters"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"validation loss {metrics.Loss:F4}"));
        return 0;
    }

    /// <summary>Writes a text as it comes.</summary>
    /// <returns>Its last lines.</returns>
    public static async Task<string> WriteAsync(LanguageModelTransformer model, string prompt)
    {
        var text = prompt;
        await foreach (var piece in model.GenerateAsync(prompt, new GenerationOptions { MaxTokens = 400, Temperature = 0.8, Seed = 1 }))
        {
            Console.Write(piece);
            text += piece;
        }
        Console.WriteLine();
        return text[Math.Max(0, text.Length - 100)..];
    }
}
