namespace Benchmarks;

/// <summary>What the user asked for.</summary>
/// <param name="Filter">Part of the names of the benchmarks to run; null for all.</param>
/// <param name="JsonFile">Where to write the results; null for nowhere.</param>
/// <param name="List">Whether only to list the names.</param>
/// <param name="CheckOnly">Whether to check what the fast paths compute and time nothing.</param>
internal sealed record CommandLine(string? Filter, string? JsonFile, bool List, bool CheckOnly)
{
    public const string Usage = "usage: dotnet run -c Release --project test/Benchmarks -- [FILTER] [--json FILE] [--check] [--list]";

    /// <exception cref="ArgumentException">The arguments are not as <see cref="Usage"/> says.</exception>
    public static CommandLine Parse(ReadOnlySpan<string> args)
    {
        var line = new CommandLine(null, null, false, false);
        for (var i = 0; i < args.Length; i++)
        {
            line = args[i] switch
            {
                "--list" => line with { List = true },
                "--check" => line with { CheckOnly = true },
                "--json" when i + 1 < args.Length => line with { JsonFile = args[++i] },
                "--json" => throw new ArgumentException("--json needs the name of a file."),
                ['-', ..] option => throw new ArgumentException($"'{option}' is not an option."),
                var filter when line.Filter is null => line with { Filter = filter },
                var second => throw new ArgumentException($"There can be one filter; '{second}' is the second."),
            };
        }

        return line;
    }
}
