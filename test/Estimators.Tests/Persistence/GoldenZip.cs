using Estimators.Tests.Support;
using Microsoft.ML;

namespace Estimators.Tests.Persistence;

/// <summary>
/// Writes the golden zip of the present format version, once per version: <c>MOE_ML_TEST_WRITE_GOLDEN=test/Estimators.Tests/Persistence dotnet run --project test/Estimators.Tests</c>.
/// The zips of earlier versions are never written again.
/// </summary>
internal static class GoldenZip
{
    /// <summary>The name of the present version's files.</summary>
    public const string Name = "golden-0x00010002";

    /// <summary>Rows that are scored.</summary>
    public const int Rows = 10;

    /// <summary>Writes instead of running tests where the variable above asks for it.</summary>
    /// <returns>Whether it did.</returns>
    public static bool Write()
    {
        if (Environment.GetEnvironmentVariable("MOE_ML_TEST_WRITE_GOLDEN") is not { Length: > 0 } folder)
            return false;

        var ml = new MLContext(seed: 1);
        var data = ml.Data.LoadFromEnumerable(Colours.Rows(80));
        using var model = Colours.Pipeline(ml, Colours.Options()).Fit(data);
        ml.Model.Save(model, data.Schema, Path.Combine(folder, Name + ".zip"));
        File.WriteAllText(Path.Combine(folder, Name + ".txt"), FreshProcess.Describe(ml, model, Rows) + "\n");
        return true;
    }
}
