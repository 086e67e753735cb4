using System.Globalization;
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
    /// <summary>How to call the program.</summary>
    public static string Usage =>
        $"""
        usage: SparseMlp [ablate {string.Join('|', ExperimentCatalog.AblationNames)}] [seeds N] [--data DIR] [--images N] [--epochs N] [--results DIR]
        The main comparison is of 1 seed, an ablation of 3. With several seeds the tables are written to {DefaultResults}, unless --results says otherwise.
        """;

    private const string DefaultResults = "samples/SparseMlp/results";
    private const int AblationSeeds = 3;

    /// <summary>The arguments in full, but for where things are.</summary>
    public string Command =>
        (Ablation is null ? "" : $"ablate {Ablation} ") + Number("seeds", Seeds) + (Data is null ? "" : " --data DIR") + Number(" --images", Images) + Number(" --epochs", Epochs);

    /// <exception cref="ArgumentException">The arguments are not as <see cref="Usage"/> says.</exception>
    public static CommandLine Parse(ReadOnlySpan<string> args)
    {
        var line = new CommandLine(null, 0, null, null, null, null);
        for (var i = 0; i < args.Length; i += 2)
        {
            var (option, value) = (args[i], i + 1 < args.Length ? args[i + 1] : null);
            line = option switch
            {
                "ablate" => line with { Ablation = AblationName(value) },
                "seeds" => line with { Seeds = ParseNumber(option, value) },
                "--data" => line with { Data = Value(option, value) },
                "--images" => line with { Images = ParseNumber(option, value) },
                "--epochs" => line with { Epochs = ParseNumber(option, value) },
                "--results" => line with { Results = Value(option, value) },
                _ => throw new ArgumentException($"'{option}' is not understood."),
            };
        }

        if (line.Seeds == 0)
            line = line with { Seeds = line.Ablation is null ? 1 : AblationSeeds };
        return line.Seeds > 1 ? line with { Results = line.Results ?? DefaultResults } : line;
    }

    /// <summary>An experiment with the numbers that were asked for. Of the images with few labels, those without are meant.</summary>
    public Experiment ApplyTo(Experiment experiment) => experiment with
    {
        TrainingImages = experiment.UnlabelledImages == 0 ? Images ?? experiment.TrainingImages : experiment.TrainingImages,
        UnlabelledImages = experiment.UnlabelledImages == 0 ? 0 : Images ?? experiment.UnlabelledImages,
        Epochs = Epochs ?? experiment.Epochs,
        PretrainingEpochs = Epochs ?? experiment.PretrainingEpochs,
    };

    private static string Number(string option, int? value) => value is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{option} {value}");

    private static string Value(string option, string? value) => value ?? throw new ArgumentException($"{option} needs a value.");

    private static string AblationName(string? value) => ExperimentCatalog.AblationNames.Contains(value)
        ? value!
        : throw new ArgumentException($"'{value}' is not an ablation; there are {string.Join(", ", ExperimentCatalog.AblationNames)}.");

    private static int ParseNumber(string option, string? value) =>
        int.TryParse(Value(option, value), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0
            ? number
            : throw new ArgumentException($"{option} is '{value}'; a whole number of at least 1 is wanted.");
}
