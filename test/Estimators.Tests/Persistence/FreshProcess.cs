using System.Diagnostics;
using System.Globalization;
using System.Text;
using Estimators.Tests.Classification;
using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Persistence;

/// <summary>
/// Whether a model loads where nothing has been set up can only be seen in a new process: the test executable, started again to predict or
/// to train instead of running tests. What it predicts with names no type of ours.
/// </summary>
internal static class FreshProcess
{
    private const string Variable = "MOE_ML_TEST_PREDICT";
    private const string TrainVariable = "MOE_ML_TEST_TRAIN";
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
        var start = new ProcessStartInfo("dotnet", ["exec", typeof(FreshProcess).Assembly.Location])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment[Variable] = task;
        start.Environment["OMP_NUM_THREADS"] = "1";   // as in the tests
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? (await output).Trim() : throw new InvalidOperationException(await output + await error);
    }

    /// <summary>Trains in a new process, and kills it some time after it has reported a step, if it has not ended by itself.</summary>
    /// <param name="folder">Where its checkpoints are; it goes on from what is there.</param>
    /// <param name="streamed">Whether the images are read anew each epoch.</param>
    /// <param name="steps">After how many reports it is killed; null to let it end.</param>
    /// <param name="delay">How long after the last of them.</param>
    /// <returns>What it printed until then.</returns>
    public static async Task<string> Train(string folder, bool streamed, int? steps, TimeSpan delay)
    {
        var start = new ProcessStartInfo("dotnet", ["exec", typeof(FreshProcess).Assembly.Location])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment[TrainVariable] = FormattableString.Invariant($"{streamed}:{folder}");
        start.Environment["OMP_NUM_THREADS"] = "1";
        using var process = Process.Start(start)!;
        var (output, error) = (new StringBuilder(), process.StandardError.ReadToEndAsync());
        while (await process.StandardOutput.ReadLineAsync() is { } line)
        {
            _ = output.AppendLine(line);
            if (line.StartsWith("step", StringComparison.Ordinal) && --steps == 0)
            {
                await Task.Delay(delay);
                process.Kill();
            }
        }
        await process.WaitForExitAsync();
        return output + await error;
    }

    /// <summary>What the new process prints.</summary>
    public static string Describe(MLContext ml, ITransformer model, int rows)
    {
        var scored = model.Transform(ml.Data.LoadFromEnumerable(Colours.Rows(rows)));
        return string.Join('\n', ml.Data.CreateEnumerable<Prediction>(scored, reuseRowObject: false).Select(p =>
            $"{p.PredictedLabel} {string.Join(' ', p.Score.Select(s => s.ToString("R", CultureInfo.InvariantCulture)))}"));
    }

    /// <summary>What two models print must be the same labels, and scores but for rounding.</summary>
    public static void AssertScores(string expected, string actual, double tolerance)
    {
        var (wanted, found) = (expected.Trim().Split('\n'), actual.Trim().Split('\n'));
        Assert.HasCount(wanted.Length, found, actual);
        for (var row = 0; row < wanted.Length; row++)
        {
            var (w, f) = (wanted[row].Split(' '), found[row].Split(' '));
            Assert.AreEqual(w[0], f[0], $"row {row}");
            for (var i = 1; i < w.Length; i++)
                Assert.AreEqual(
                    double.Parse(w[i], CultureInfo.InvariantCulture),
                    double.Parse(f[i], CultureInfo.InvariantCulture),
                    tolerance,
                    $"row {row}");
        }
    }

    /// <summary>What the new process prints of a language model.</summary>
    public static string DescribeTexts(MLContext ml, ITransformer model) =>
        string.Join(
            '\n',
            Rhymes
                .Predict(ml, model, Rhymes.Rows(6))
                .Select(row => FormattableString.Invariant($"{row.TokenCount} {row.LogLikelihood:F3} {row.Continuation}")));

    /// <summary>
    /// Predicts or trains instead of running tests where <see cref="Predict"/> or <see cref="Train"/> started this process.
    /// </summary>
    /// <returns>Whether it did.</returns>
    public static bool Play()
    {
        if (Environment.GetEnvironmentVariable(TrainVariable) is { Length: > 0 } training)
        {
            var separator = training.IndexOf(':', StringComparison.Ordinal);
            Console.WriteLine(CheckpointTests.TrainInChild(training[(separator + 1)..], bool.Parse(training.AsSpan(0, separator))));
            return true;
        }
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } task)
            return false;

        var colon = task.IndexOf(':', StringComparison.Ordinal);
        var ml = new MLContext();
        var model = ml.Model.Load(task[(colon + 1)..], out _);
        Console.WriteLine(
            task[..colon] == Texts
                ? DescribeTexts(ml, model)
                : Describe(ml, model, int.Parse(task.AsSpan(0, colon), CultureInfo.InvariantCulture)));
        return true;
    }
}
