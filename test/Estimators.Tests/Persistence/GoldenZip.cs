using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;

namespace Estimators.Tests.Persistence;

/// <summary>
/// Writes the golden zips of the present format version, for a WideNet and a Sparse-MLP, where there are none yet: <c>MOE_ML_TEST_WRITE_GOLDEN=test/Estimators.Tests/Persistence dotnet run --project test/Estimators.Tests</c>.
/// A zip is never written again.
/// </summary>
internal static class GoldenZip
{
    /// <summary>The name of a WideNet's files of the present version.</summary>
    public const string Name = "golden-0x00010002";

    /// <summary>The name of a Sparse-MLP's.</summary>
    public const string SparseMlpName = "golden-sparse-mlp-0x00010002";

    /// <summary>Rows that are scored.</summary>
    public const int Rows = 10;

    /// <summary>Writes instead of running tests where the variable above asks for it.</summary>
    /// <returns>Whether it did.</returns>
    public static bool Write()
    {
        if (Environment.GetEnvironmentVariable("MOE_ML_TEST_WRITE_GOLDEN") is not { Length: > 0 } folder)
            return false;

        Write(folder, Name, Colours.Options());
        Write(folder, SparseMlpName, Colours.SparseMlpOptions());
        return true;
    }

    private static void Write(string folder, string name, ImageClassificationOptions options)
    {
        var path = Path.Combine(folder, name);
        if (File.Exists(path + ".zip"))
            return;
        var ml = new MLContext(seed: 1);
        var data = ml.Data.LoadFromEnumerable(Colours.Rows(80));
        using var model = Colours.Pipeline(ml, options).Fit(data);
        ml.Model.Save(model, data.Schema, path + ".zip");
        File.WriteAllText(path + ".txt", FreshProcess.Describe(ml, model, Rows) + "\n");
    }
}
