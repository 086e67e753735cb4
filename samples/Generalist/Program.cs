// One model for six tasks on images, videos and texts, its experts chosen by attributes of the tasks: trains, measures, names what it never learned to name, saves, and serves in another process.
//
//     dotnet run -c Release --project samples/Generalist                 on what comes with the samples

using System.Diagnostics;
using System.Globalization;
using GeneralistSample;
using Microsoft.ML;
using Samples;
using Spectre.Console;

const string ModelFile = "model.zip";
const int Steps = 3000;

try
{
    switch (args)
    {
        case []:
            return Train();
        case ["--serve"]:
            return ModelServer.Run(ModelFile);
        default:
            Console.Error.WriteLine($"Unknown arguments '{string.Join(' ', args)}'. Usage: Generalist");
            return 2;
    }
}
catch (Exception e) when (e is IOException or InvalidDataException)
{
    Console.Error.WriteLine(e.Message);   // a file is missing, damaged, or cannot be written
    return 1;
}

static int Train()
{
    var clock = Stopwatch.StartNew();
    var mlContext = new MLContext(seed: 1);
    var data = SampleData.Read(mlContext);
    var model = TrainingDisplay.Show(
        progress =>
        {
            var options = SampleModel.Options(Steps);
            options.Progress = progress;
            return mlContext.Transforms.UniPerceiverGeneralist(options).Fit(data.Combine(mlContext));
        },
        "examples");

    Write(Scoring.Measure(mlContext, model, data, SampleData.InMotion));

    mlContext.Model.Save(model, null, ModelFile);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"saved {ModelFile}, {new FileInfo(ModelFile).Length / 1024:N0} KB, after {clock.Elapsed.TotalMinutes:F1} minutes; loading it in another process"));
    using var process = Process.Start(SameProgram.With(Environment.ProcessPath!, typeof(ModelServer).Assembly.Location, "--serve"))!;
    process.WaitForExit();
    return process.ExitCode;
}

static void Write(IEnumerable<TaskScore> scores)
{
    var table = new Table().AddColumns("task", "metric", "on test rows", "chance");
    foreach (var score in scores)
    {
        table.AddRow(
            score.Task + (score.Task == SampleData.InMotion.Name ? " (never trained)" : ""), score.Metric,
            score.Value.ToString("F3", CultureInfo.InvariantCulture), score.Chance.ToString("F3", CultureInfo.InvariantCulture));
    }
    if (Console.IsOutputRedirected)
        AnsiConsole.Profile.Width = 120;
    AnsiConsole.Write(table);
}
