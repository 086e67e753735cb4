using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Samples;

namespace FolderOfImages;

/// <summary>What the user asked for: to train on a folder, or to score pictures with a model.</summary>
/// <param name="Data">The folder of pictures; null where pictures are to be scored.</param>
/// <param name="ModelFile">The model zip that is written, or read.</param>
/// <param name="Recipe">The name of the recipe.</param>
/// <param name="Epochs">Passes over the training pictures; null for the recipe's.</param>
/// <param name="Size">Side of the model's images in pixels; null for the recipe's.</param>
/// <param name="Validation">Part of the training pictures that are held out to measure the model on after every epoch.</param>
/// <param name="Checkpoints">The folder of checkpoints, from which an interrupted training goes on; null for none.</param>
/// <param name="Pictures">Pictures to score.</param>
internal sealed record CommandLine(
    string? Data,
    string ModelFile,
    string Recipe,
    int? Epochs,
    int? Size,
    double Validation,
    string? Checkpoints,
    IReadOnlyList<string> Pictures)
{
    /// <summary>The program's command.</summary>
    /// <param name="run">Does what the user asked for; returns the exit code.</param>
    public static RootCommand CreateCommand(Func<CommandLine, int> run)
    {
        var data = Arguments.Folder("--data", "Pictures as train/CLASS/* and test/CLASS/*, or CLASS/*.");
        var pictures = new Option<string[]>("--score")
        {
            Description = "Pictures to classify with the saved model, in place of training.",
            HelpName = "PICTURE",
            Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = true,
        };
        var recipe = new Option<string>("--recipe")
        {
            Description = "Options for some kind of pictures.",
            DefaultValueFactory = _ => Recipes.Default,
        };
        recipe.AcceptOnlyFromAmong([.. Recipes.Names]);
        var epochs = Arguments.Number("--epochs", "Passes over the training pictures, in place of the recipe's.");
        var size = Arguments.Number("--size", "Side of the model's images in pixels, in place of the recipe's.");
        var validation = new Option<double>("--validation")
        {
            Description = "Part of the training pictures to measure the model on after every epoch.",
            HelpName = "FRACTION",
            CustomParser = ReadFraction,
        };
        var checkpoints = new Option<string?>("--checkpoints")
        {
            Description = "Folder of checkpoints: the same command goes on from there.",
            HelpName = "DIR",
        };
        var model = new Option<string>("--model")
        {
            Description = "The model zip.",
            HelpName = "FILE",
            DefaultValueFactory = _ => "model.zip",
        };

        var command = new RootCommand("Trains WideNet on a folder of pictures, or classifies pictures.")
        {
            data, recipe, epochs, size, validation, checkpoints, model, pictures,
        };
        command.Validators.Add(result =>
        {
            if ((result.GetResult(data) is null) == (result.GetResult(pictures) is null))
                result.AddError("Either --data says where the pictures to train on are, or --score which pictures to classify.");
        });
        command.SetAction(line => run(new CommandLine(
            line.GetValue(data), line.GetRequiredValue(model), line.GetRequiredValue(recipe), line.GetValue(epochs), line.GetValue(size),
            line.GetValue(validation), line.GetValue(checkpoints), line.GetValue(pictures) ?? [])));
        return command;
    }

    private static double ReadFraction(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number < 1)
            return number;
        result.AddError($"{Arguments.NameOf(result)} is '{text}'; a number of at least 0 and below 1 is wanted, such as 0.1.");
        return 0;
    }
}
