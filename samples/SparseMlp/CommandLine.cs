using System.CommandLine;
using System.Globalization;
using Samples;
using Samples.Comparison;

namespace SparseMlpComparison;

/// <summary>What the user asked for.</summary>
/// <param name="Ablation">The name of an ablation; null for the main comparison.</param>
/// <param name="Seeds">How often each model is trained.</param>
/// <param name="Data">The folder of images; null for those that come with the samples.</param>
/// <param name="Images">Images to train on, and to pre-train on; null for the experiment's own numbers.</param>
/// <param name="Epochs">Passes over them; null for the experiment's own.</param>
/// <param name="Results">The folder that the tables are written to; null for none.</param>
internal sealed record CommandLine(string? Ablation, int Seeds, string? Data, int? Images, int? Epochs, string? Results)
{
    private const string DefaultResults = "samples/SparseMlp/results";
    private const int AblationSeeds = 3;

    /// <summary>The arguments in full, but for where things are.</summary>
    public string Command =>
        (Ablation is null ? "" : $"ablate {Ablation} ")
        + Number("seeds", Seeds) + (Data is null ? "" : " --data DIR") + Number(" --images", Images) + Number(" --epochs", Epochs);

    /// <summary>The program's command.</summary>
    /// <param name="run">Does what the user asked for; returns the exit code.</param>
    public static RootCommand CreateCommand(Func<CommandLine, int> run)
    {
        // Two options are words: "ablate position seeds 3".
        var ablation = new Option<string?>("ablate") { Description = "One of the paper's ablations in place of the main comparison." };
        ablation.AcceptOnlyFromAmong([.. ExperimentCatalog.AblationNames]);
        var seeds = Arguments.Number("seeds", $"Trainings of each model: 1 in the main comparison, {AblationSeeds} in an ablation.");
        var data = Arguments.Folder("--data", "The four official files of Fashion-MNIST, or train/CLASS/* and test/CLASS/*.");
        var images = Arguments.Number("--images", "Images to train on, and to pre-train on.");
        var epochs = Arguments.Number("--epochs", "Passes over them.");
        var results = Arguments.Results();
        results.Description += $" {DefaultResults} if it is left out and there are several seeds.";

        var command = new RootCommand("Sparse-MLP beside dense MLP-Mixers.") { ablation, seeds, data, images, epochs, results };
        command.SetAction(line =>
        {
            var times = line.GetValue(seeds) ?? (line.GetValue(ablation) is null ? 1 : AblationSeeds);
            return run(new CommandLine(
                line.GetValue(ablation), times, line.GetValue(data), line.GetValue(images), line.GetValue(epochs),
                line.GetValue(results) ?? (times > 1 ? DefaultResults : null)));
        });
        return command;
    }

    /// <summary>
    /// An experiment with the numbers that were asked for. Where few images have labels, <see cref="Images"/> counts those without.
    /// </summary>
    public Experiment ApplyTo(Experiment experiment) => experiment with
    {
        TrainingImages = experiment.UnlabelledImages == 0 ? Images ?? experiment.TrainingImages : experiment.TrainingImages,
        UnlabelledImages = experiment.UnlabelledImages == 0 ? 0 : Images ?? experiment.UnlabelledImages,
        Epochs = Epochs ?? experiment.Epochs,
        PretrainingEpochs = Epochs ?? experiment.PretrainingEpochs,
    };

    private static string Number(string option, int? value) =>
        value is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{option} {value}");
}
