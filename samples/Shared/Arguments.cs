using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Samples;

/// <summary>What the command lines of the samples have in common.</summary>
internal static class Arguments
{
    /// <summary>An option with a whole number of at least 1.</summary>
    /// <param name="name">Its name, such as <c>--epochs</c>.</param>
    /// <param name="description">What it does.</param>
    /// <returns>The option; its value is null where it is left out.</returns>
    public static Option<int?> Number(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result => ReadNumber(result, result.Tokens[0].Value),
    };

    /// <summary>An option with the name of a folder that must exist.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="description">What is in the folder.</param>
    public static Option<string?> Folder(string name, string description)
    {
        var option = new Option<string?>(name) { Description = description, HelpName = "DIR" };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && !Directory.Exists(result.Tokens[0].Value))
                result.AddError($"{name}: there is no folder '{result.Tokens[0].Value}'.");
        });
        return option;
    }

    /// <summary>The option with the folder that tables are written to, made where it is missing.</summary>
    public static Option<string?> Results() =>
        new("--results") { Description = "Folder that the tables are written to.", HelpName = "DIR" };

    /// <summary>What the program does in a second process that it starts itself: a command that its help leaves out.</summary>
    /// <param name="name">The command's name.</param>
    /// <param name="run">What it does with its one argument; returns the exit code.</param>
    public static Command SecondProcess(string name, Func<string, Task<int>> run)
    {
        var text = new Argument<string>("text");
        var command = new Command(name) { text };
        command.Hidden = true;
        command.SetAction((line, _) => run(line.GetRequiredValue(text)));
        return command;
    }

    /// <summary>Reads a whole number of at least 1.</summary>
    /// <param name="result">The argument that it is, or is part of: gets the error.</param>
    /// <param name="text">The number.</param>
    public static int ReadNumber(ArgumentResult result, string text)
    {
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0)
            return number;
        result.AddError($"{NameOf(result)} is '{text}'; a whole number of at least 1 is wanted.");
        return 0;
    }

    /// <summary>The name of the option, or of the argument, that a value was given for.</summary>
    public static string NameOf(ArgumentResult result) => result.Parent is OptionResult option ? option.Option.Name : result.Argument.Name;

    /// <summary>
    /// Does what the arguments ask for. Errors that a user can fix, such as a missing file or a folder without pictures,
    /// are printed as one line.
    /// </summary>
    /// <param name="command">All that the program can do.</param>
    /// <param name="arguments">The process's arguments.</param>
    /// <returns>The process's exit code.</returns>
    public static async Task<int> RunAsync(RootCommand command, string[] arguments)
    {
        // A text that starts with @ is a text and no file of arguments; an interrupt ends the program at once.
        var line = command.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        try
        {
            return await line.InvokeAsync(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException or InvalidOperationException)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
    }
}
