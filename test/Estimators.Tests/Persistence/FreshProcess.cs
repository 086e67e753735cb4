using System.Diagnostics;
using System.Globalization;
using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Microsoft.ML;

namespace Estimators.Tests.Persistence;

/// <summary>
/// Whether a model loads where nothing has been set up can only be seen in a new process: the test executable, started again to predict instead of running tests. What it does names
/// no type of ours.
/// </summary>
internal static class FreshProcess
{
    private const string Variable = "MOE_ML_TEST_PREDICT";
    private const string Texts = "texts";

    /// <summary>Loads a zip in a new process and scores <see cref="Colours.Rows"/> with it.</summary>
    /// <param name="zip">Path of the model.</param>
    /// <param name="rows">Number of rows.</param>
    /// <returns>What the process printed: a line with the predicted label and the scores for each row.</returns>
    public static Task<string> Predict(string zip, int rows) => Run(FormattableString.Invariant($"{rows}:{zip}"));

    /// <summary>Loads the zip of a language model in a new process and scores <see cref="Rhymes.Texts"/> with it.</summary>
    /// <param name="zip">Path of the model.</param>
    /// <returns>What <see cref="DescribeTexts"/> says there.</returns>
    public static Task<string> PredictTexts(string zip) => Run($"{Texts}:{zip}");

    private static async Task<string> Run(string task)
    {
        var start = new ProcessStartInfo("dotnet", ["exec", typeof(FreshProcess).Assembly.Location]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment[Variable] = task;
        start.Environment["OMP_NUM_THREADS"] = "1";   // as in the tests
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? (await output).Trim() : throw new InvalidOperationException(await output + await error);
    }

    /// <summary>What the new process prints.</summary>
    public static string Describe(MLContext ml, ITransformer model, int rows)
    {
        var scored = model.Transform(ml.Data.LoadFromEnumerable(Colours.Rows(rows)));
        return string.Join('\n', ml.Data.CreateEnumerable<Prediction>(scored, reuseRowObject: false).Select(p =>
            $"{p.PredictedLabel} {string.Join(' ', p.Score.Select(s => s.ToString("R", CultureInfo.InvariantCulture)))}"));
    }

    /// <summary>What the new process prints of a language model.</summary>
    public static string DescribeTexts(MLContext ml, ITransformer model) =>
        string.Join('\n', Rhymes.Predict(ml, model, Rhymes.Rows(6)).Select(row => FormattableString.Invariant($"{row.TokenCount} {row.LogLikelihood:F3} {row.Continuation}")));

    /// <summary>Predicts instead of running tests where <see cref="Predict"/> started this process.</summary>
    /// <returns>Whether it did.</returns>
    public static bool Play()
    {
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } task)
            return false;

        var colon = task.IndexOf(':', StringComparison.Ordinal);
        var ml = new MLContext();
        var model = ml.Model.Load(task[(colon + 1)..], out _);
        Console.WriteLine(task[..colon] == Texts ? DescribeTexts(ml, model) : Describe(ml, model, int.Parse(task.AsSpan(0, colon), CultureInfo.InvariantCulture)));
        return true;
    }
}
