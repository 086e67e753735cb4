using System.Globalization;

namespace Benchmarks;

/// <summary>What the user asked for.</summary>
/// <param name="Filter">Part of the names of the benchmarks to run; null for all.</param>
/// <param name="JsonFile">Where to write the results; null for nowhere.</param>
/// <param name="List">Whether only to list the names.</param>
/// <param name="CheckOnly">Whether to check what the fast paths compute and time nothing.</param>
/// <param name="Cost">Whether to measure the sparse layer over sizes instead.</param>
/// <param name="CostOf">The experts and tokens of the one size that a process of such a measurement is for.</param>
internal sealed record CommandLine(string? Filter, string? JsonFile, bool List, bool CheckOnly, bool Cost, (int Experts, int Tokens)? CostOf)
{
    public const string Usage = "usage: dotnet run -c Release --project test/Benchmarks -- [FILTER] [--json FILE] [--check] [--list] [--cost]";

    /// <exception cref="ArgumentException">The arguments are not as <see cref="Usage"/> says.</exception>
    public static CommandLine Parse(ReadOnlySpan<string> args)
    {
        var line = new CommandLine(null, null, false, false, false, null);
        for (var i = 0; i < args.Length; i++)
        {
            line = args[i] switch
            {
                "--list" => line with { List = true },
                "--check" => line with { CheckOnly = true },
                "--cost" => line with { Cost = true },
                "--cost-of" when i + 2 < args.Length => line with { CostOf = (Number(args[++i]), Number(args[++i])) },
                "--json" when i + 1 < args.Length => line with { JsonFile = args[++i] },
                "--json" => throw new ArgumentException("--json needs the name of a file."),
                ['-', ..] option => throw new ArgumentException($"'{option}' is not an option."),
                var filter when line.Filter is null => line with { Filter = filter },
                var second => throw new ArgumentException($"There can be one filter; '{second}' is the second."),
            };
        }

        return line;
    }

    private static int Number(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 ? number : throw new ArgumentException($"'{text}' is not a number of experts or tokens.");
}
