using System.Globalization;

namespace GeneralistSample;

/// <summary>What the user asked for.</summary>
/// <param name="Action">What to do.</param>
/// <param name="Data">The folder of real data; null for what comes with the samples.</param>
/// <param name="Steps">Steps of each training; null for the usual number.</param>
/// <param name="Seeds">The first and the last seed that each router is trained from.</param>
/// <param name="Results">The folder that tables are written to; null for none.</param>
internal sealed record CommandLine(SampleAction Action, string? Data, int? Steps, (int First, int Last) Seeds, string? Results)
{
    /// <summary>How to call the program.</summary>
    public const string Usage = "usage: Generalist [--data DIR] [--steps N], or Generalist routers [--data DIR] [--steps N] [--seeds N | --seeds FIRST-LAST] [--results DIR]";

    private const int RouterSeeds = 3;

    /// <summary>The arguments that compare routers, but for where things are and for the seeds.</summary>
    public string Command => "routers" + (Data is null ? "" : " --data DIR") + (Steps is null ? "" : string.Create(CultureInfo.InvariantCulture, $" --steps {Steps}"));

    /// <exception cref="ArgumentException">The arguments are not as <see cref="Usage"/> says.</exception>
    public static CommandLine Parse(ReadOnlySpan<string> args)
    {
        var action = args switch
        {
            ["routers", ..] => SampleAction.CompareRouters,
            [ModelServer.Argument, ..] => SampleAction.Serve,
            _ => SampleAction.Train,
        };
        var line = new CommandLine(action, null, null, (1, RouterSeeds), null);
        for (var i = action == SampleAction.Train ? 0 : 1; i < args.Length; i += 2)
        {
            var (option, value) = (args[i], i + 1 < args.Length ? args[i + 1] : null);
            line = option switch
            {
                "--data" => line with { Data = Value(option, value) },
                "--steps" when action != SampleAction.Serve => line with { Steps = ParseNumber(option, value) },
                "--seeds" when action == SampleAction.CompareRouters => line with { Seeds = ParseSeeds(option, value) },
                "--results" when action == SampleAction.CompareRouters => line with { Results = Value(option, value) },
                _ => throw new ArgumentException($"'{option}' is not understood."),
            };
        }
        return line;
    }

    private static string Value(string option, string? value) => value ?? throw new ArgumentException($"{option} needs a value.");

    private static (int First, int Last) ParseSeeds(string option, string? value)
    {
        if (value?.Split('-') is not [var first, var last])
            return (1, ParseNumber(option, value));
        var seeds = (First: ParseNumber(option, first), Last: ParseNumber(option, last));
        return seeds.First <= seeds.Last ? seeds : throw new ArgumentException($"{option} is '{value}'; the first seed must not be above the last.");
    }

    private static int ParseNumber(string option, string? value) =>
        int.TryParse(Value(option, value), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0
            ? number
            : throw new ArgumentException($"{option} is '{value}'; a whole number of at least 1 is wanted.");
}
