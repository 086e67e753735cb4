// PEER with 16 thousand to a million experts on real text, with and without batch normalisation of its queries: table 2 of "Mixture of A
// Million Experts" (arXiv 2407.04153) at a size for two cores.
//
//     dotnet run -c Release --project samples/MillionExperts                       all eight trainings on tiny Shakespeare
//     dotnet run -c Release --project samples/MillionExperts -- --data FILE        on a text of yours
//     dotnet run -c Release --project samples/MillionExperts -- --experts 1048576  one size only
//     dotnet run -c Release --project samples/MillionExperts -- --save model.zip   saves the last model, and measures it again in another process
//
// A million experts need 7 GB of memory.

using System.CommandLine;
using MillionExperts;
using Samples;
using Shakespeare;

const int StandardSteps = 400;

var data = new Option<string>("--data")
{
    Description = "The text.",
    HelpName = "FILE",
    DefaultValueFactory = _ => ShakespeareText.ShippedFile,
};
var steps = Arguments.Number("--steps", $"Steps of each training; {StandardSteps} if it is left out.");
var experts = Arguments.Number("--experts", "One number of experts, a perfect square, in place of the paper's four.");
var results = Arguments.Results();
var save = new Option<string?>("--save")
{
    Description = "Zip that the last model is saved to, and measured from again.",
    HelpName = "FILE",
};

var command = new RootCommand("Trains PEER with 16 thousand to a million experts on a text.") { data, steps, experts, results, save };
command.SetAction(line =>
{
    int[] sizes = line.GetValue(experts) is { } size ? [size] : Training.PaperSizes;
    var file = line.GetRequiredValue(data);
    return File.Exists(file)
        ? TrainingTable.Run(sizes, line.GetValue(steps) ?? StandardSteps, file, line.GetValue(results), line.GetValue(save))
        : throw new FileNotFoundException($"There is no file '{file}'.");
});
command.Add(TrainingProcess.CreateTrainCommand());
command.Add(TrainingProcess.CreateLoadCommand());
return await Arguments.RunAsync(command, args);
