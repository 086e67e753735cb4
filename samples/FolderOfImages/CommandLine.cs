using System.Globalization;

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
public sealed record CommandLine(string? Data, string ModelFile, string Recipe, int? Epochs, int? Size, double Validation, string? Checkpoints, IReadOnlyList<string> Pictures)
{
    /// <summary>How to call the program.</summary>
    public const string Usage =
        """
        usage: FolderOfImages --data DIR [--recipe NAME] [--epochs N] [--size N] [--validation FRACTION] [--checkpoints DIR] [--model FILE]
               FolderOfImages [--model FILE] --score PICTURE...
        """;

    /// <exception cref="ArgumentException">The arguments are not as <see cref="Usage"/> says.</exception>
    public static CommandLine Parse(ReadOnlySpan<string> args)
    {
        var line = new CommandLine(null, "model.zip", Recipes.Default, null, null, 0, null, []);
        for (var i = 0; i < args.Length; i++)
        {
            if (args[i] == "--score")
            {
                line = line with { Pictures = args[(i + 1)..].ToArray() };
                return line switch
                {
                    { Data: not null } => throw new ArgumentException("--data and --score exclude one another."),
                    { Pictures.Count: 0 } => throw new ArgumentException("--score needs the names of pictures."),
                    _ => line,
                };
            }

            var (option, value) = (args[i], i + 1 < args.Length ? args[i + 1] : null);
            line = option switch
            {
                "--data" => line with { Data = Value(option, value) },
                "--model" => line with { ModelFile = Value(option, value) },
                "--recipe" => line with { Recipe = RecipeName(Value(option, value)) },
                "--epochs" => line with { Epochs = Number(option, Value(option, value)) },
                "--size" => line with { Size = Number(option, Value(option, value)) },
                "--checkpoints" => line with { Checkpoints = Value(option, value) },
                "--validation" => line with { Validation = Fraction(option, Value(option, value)) },
                _ => throw new ArgumentException($"'{option}' is not an option."),
            };
            i++;
        }

        return line.Data is null ? throw new ArgumentException("--data needs to say where the pictures are.") : line;
    }

    private static string Value(string option, string? value) => value ?? throw new ArgumentException($"{option} needs a value.");

    private static string RecipeName(string value) =>
        Recipes.Names.Contains(value) ? value : throw new ArgumentException($"'{value}' is not a recipe; there are {string.Join(", ", Recipes.Names)}.");

    private static int Number(string option, string value) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0
            ? number
            : throw new ArgumentException($"{option} is '{value}'; a whole number of at least 1 is wanted.");

    private static double Fraction(string option, string value) =>
        double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number < 1
            ? number
            : throw new ArgumentException($"{option} is '{value}'; a number of at least 0 and below 1 is wanted, such as 0.1.");
}
