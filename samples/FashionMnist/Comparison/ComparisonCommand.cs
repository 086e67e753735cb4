using System.CommandLine;
using Samples;
using Samples.Comparison;

namespace FashionMnist.Comparison;

/// <summary>The command <c>compare</c>: trains the models of an experiment side by side.</summary>
internal static class ComparisonCommand
{
    private const int StandardSeeds = 3;

    /// <summary>Makes the command, which prints a table, and writes it and every training where a results folder is given.</summary>
    public static Command Create()
    {
        var name = new Argument<string>("experiment")
        {
            Description = "What to compare.",
            DefaultValueFactory = _ => ExperimentCatalog.Models.Name,
        };
        name.AcceptOnlyFromAmong([.. ExperimentCatalog.All.Select(experiment => experiment.Name)]);
        var seeds = Arguments.Number("--seeds", $"Trainings of each model; {StandardSeeds} if it is left out.");
        var data = Arguments.Folder("--data", "The four official files, in place of what comes with the sample.");
        var results = Arguments.Results();

        var command = new Command("compare", "WideNet beside ViT and ViT-MoE, and the paper's ablations.") { name, seeds, data, results };
        command.SetAction(line =>
        {
            var experiment = ExperimentCatalog.All.Single(candidate => candidate.Name == line.GetValue(name));
            var images = Images(line.GetValue(data) ?? FashionMnistData.ShippedDirectory);
            ComparisonRun.Run(
                experiment, images, line.GetValue(seeds) ?? StandardSeeds, $"compare {experiment.Name}", line.GetValue(results));
        });
        return command;
    }

    private static ImageSet Images(string directory) =>
        ImageSet.Create(
            directory,
            FashionMnistData.Size,
            FashionMnistData.ReadTrain(directory),
            FashionMnistData.ReadTest(directory),
            FashionMnistData.ClassNames);
}
