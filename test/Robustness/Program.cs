using System.CommandLine;
using System.Globalization;
using Robustness.Fit;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;   // arguments are the same everywhere

// fit: thousands of tiny trainings under a collector that never rests. None may fail, and all of a kind must end with the same weights.
var minutes = new Option<double>("--minutes") { Description = "Time limit in minutes.", DefaultValueFactory = _ => 10 };
var fits = new Option<int>("--fits") { Description = "Trainings, all processes together.", DefaultValueFactory = _ => 5000 };
var processes = new Option<int>("--processes") { Description = "Processes side by side.", DefaultValueFactory = _ => 2 };
var fit = new Command(
    "fit",
    "Trains tiny models of every estimator over and over while other threads allocate; fails if one fails or ends with other weights.")
{
    minutes,
    fits,
    processes,
};
fit.SetAction(async result =>
{
    var (reports, crashes) = await FitProcesses.Run(result.GetValue(processes), result.GetValue(fits), result.GetValue(minutes));
    foreach (var report in reports)
    {
        Console.WriteLine($"{report.Name,-26} {report.Fits,6} fits {report.Failed,4} failed {report.Different,4} with other weights");
        foreach (var (message, count) in report.Failures)
            Console.WriteLine($"    {count} x {message}");
    }
    foreach (var crash in crashes)
        Console.WriteLine($"a process ended with exit code {crash}");
    var (done, bad) = (reports.Sum(report => report.Fits), reports.Sum(report => report.Failed + report.Different) + crashes.Count);
    Console.WriteLine($"{done} fits, {bad} bad{(done < result.GetValue(fits) ? "; stopped by the time limit" : "")}");
    return bad == 0 && done > 0 ? 0 : 1;
});

var (workerRounds, workerMinutes) = (new Argument<int>("rounds"), new Argument<double>("minutes"));
var worker = new Command(FitProcesses.Worker) { workerRounds, workerMinutes };
worker.Hidden = true;
worker.SetAction(result => FitProcesses.Work(result.GetValue(workerRounds), result.GetValue(workerMinutes)));

return await new RootCommand("Tries to break the library.") { fit, worker }.Parse(args).InvokeAsync();
