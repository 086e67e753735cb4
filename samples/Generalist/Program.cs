// One model for several tasks on images, videos and texts, its experts chosen by attributes of the tasks: trains, measures, names what it
// never learned to name, learns that from a few examples by prompts, saves, and serves in another process.
//
//     dotnet run -c Release --project samples/Generalist                    on what comes with the samples
//     dotnet run -c Release --project samples/Generalist -- routers         without experts, and with each of the five routers, three seeds; --results DIR writes tables
//     dotnet run -c Release --project samples/Generalist -- --data DIR      on real data: see RealData.cs; also with routers

using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using GeneralistSample;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Samples;
using Spectre.Console;

const string ServeCommand = "serve";

var data = Arguments.Folder("--data", "Pictures, sentences and captioned photos of yours: see RealData.cs.");
var steps = Arguments.Number("--steps", "Steps of each training.");
var command = new RootCommand("Trains one model for several tasks, and serves it in another process.")
{
    data,
    steps,
    RouterComparison.CreateCommand(data, steps),
};
command.SetAction(line => Train(line.GetValue(data), line.GetValue(steps)));

var serve = new Command(ServeCommand) { data };
serve.Hidden = true;   // the second process
serve.SetAction(line => ModelServer.Run(line.GetValue(data)));
command.Add(serve);
return await Arguments.RunAsync(command, args);

static int Train(string? folder, int? steps)
{
    var clock = Stopwatch.StartNew();
    var mlContext = new MLContext(seed: 1);
    var data = SampleData.Read(mlContext, folder);
    using var model = TrainingDisplay.Show(
        progress =>
        {
            var options = SampleModel.Options(data, steps ?? SampleModel.Steps);
            options.Progress = progress;
            return mlContext.Transforms.UniPerceiverGeneralist(options).Fit(data.Combine(mlContext));
        },
        "examples");
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"trained in {clock.Elapsed.TotalMinutes:F1} minutes"));

    var scores = Scoring.Measure(mlContext, model, data).ToList();
    if (data.Unseen is var (task, few))
    {
        scores.AddRange(Scoring.Measure(mlContext, model, task, data).Select(score => score with { Task = $"{task.Name}, never trained" }));
        using var prompted = model.TunePrompts(task, few, SampleModel.Prompting);
        prompted.SavePrompts(ModelServer.PromptFile);
        scores.AddRange(
            Scoring
                .Measure(mlContext, prompted, task, data)
                .Select(score => score with { Task = $"{task.Name}, prompts from {prompted.Training!.Examples[task.Name]} examples" }));
    }
    Write(scores);

    mlContext.Model.Save(model, null, ModelServer.ModelFile);
    Console.WriteLine(
        string.Create(
            CultureInfo.InvariantCulture,
            $"saved {SizeOf(ModelServer.ModelFile)}{(data.Unseen is null ? "" : $" and {SizeOf(ModelServer.PromptFile)}")}, after "
                + $"{clock.Elapsed.TotalMinutes:F1} minutes; loading in another process"));
    string[] arguments = folder is null ? [ServeCommand] : [ServeCommand, "--data", folder];
    using var process = Process.Start(SameProgram.With(Environment.ProcessPath!, typeof(ModelServer).Assembly.Location, arguments))!;
    process.WaitForExit();
    return process.ExitCode;
}

static string SizeOf(string file) => string.Create(CultureInfo.InvariantCulture, $"{file}, {new FileInfo(file).Length / 1024:N0} KB");

static void Write(IEnumerable<TaskScore> scores)
{
    var table = new Table().AddColumns("task", "metric", "on test rows", "chance");
    foreach (var score in scores)
        table.AddRow(
            score.Task,
            score.Metric,
            score.Value.ToString("F3", CultureInfo.InvariantCulture),
            score.Chance.ToString("F3", CultureInfo.InvariantCulture));
    if (Console.IsOutputRedirected)
        AnsiConsole.Profile.Width = 120;
    AnsiConsole.Write(table);
}
