// PEER with 16 thousand to a million experts on real text, with and without batch normalisation of its queries: table 2 of "Mixture of A Million Experts" (arXiv 2407.04153) at a size for two cores.
//
//     dotnet run -c Release --project samples/MillionExperts                       all eight trainings on tiny Shakespeare
//     dotnet run -c Release --project samples/MillionExperts -- --data FILE        on a text of yours
//     dotnet run -c Release --project samples/MillionExperts -- --experts 1048576  one size only
//     dotnet run -c Release --project samples/MillionExperts -- --save model.zip   saves the last model, and measures it again in another process
//
// A million experts need 7 GB of memory.

using System.Globalization;
using MillionExperts;
using Shakespeare;

const string Usage = "Usage: MillionExperts [--data FILE] [--steps N] [--experts N] [--results DIR] [--save FILE]";

try
{
    if (TrainingProcess.Serve(args) is { } exitCode)
        return exitCode;

    var (data, steps, sizes, results, saveAs) = (ShakespeareText.ShippedFile, 400, Training.PaperSizes, (string?)null, (string?)null);
    for (var i = 0; i < args.Length; i += 2)
    {
        var (argument, value) = (args[i], i + 1 < args.Length ? args[i + 1] : null);
        switch (argument)
        {
            case "--data" when value is not null:
                data = value;
                break;
            case "--steps" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out steps) && steps >= 1:
                break;
            case "--experts" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var size) && size >= 1:
                sizes = [size];
                break;
            case "--results" when value is not null:
                results = value;
                break;
            case "--save" when value is not null:
                saveAs = value;
                break;
            default:
                Console.Error.WriteLine($"'{argument}{(value is null ? "" : $" {value}")}' is not understood. {Usage}");
                return 2;
        }
    }

    if (!File.Exists(data))
        throw new FileNotFoundException($"There is no file '{data}'.");
    return TrainingTable.Run(sizes, steps, data, results, saveAs);
}
catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
{
    Console.Error.WriteLine(e.Message);   // a file is missing or cannot be written
    return 1;
}
