using System.Globalization;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Readme;

[TestClass]
public sealed class ReadmePipelineTests
{
    [TestMethod]
    public void TheReadmesPipeline_LearnsFromAFolderOfPictures()
    {
        var (directory, output) = (Directory.GetCurrentDirectory(), Console.Out);
        var folder = Directory.CreateTempSubdirectory("moe-ml-readme-");
        using var written = new StringWriter(CultureInfo.InvariantCulture);
        try
        {
            Directory.SetCurrentDirectory(folder.FullName);
            Console.SetOut(written);
            WritePhotos(120);

            var (model, loaded, data) = ReadmePipeline.Run();

            Assert.IsGreaterThan(0.9, double.Parse(written.ToString(), CultureInfo.CurrentCulture), "accuracy that the pipeline printed");
            CollectionAssert.AreEqual(Classes(model.Transform(data)), Classes(loaded.Transform(data)));
        }
        finally
        {
            Console.SetOut(output);
            Directory.SetCurrentDirectory(directory);
            folder.Delete(recursive: true);
        }
    }

    private static void WritePhotos(int count)
    {
        _ = Directory.CreateDirectory("photos");
        var lines = new List<string>();
        foreach (var row in Colours.Pictures(count))
        {
            using var picture = row.Features!;
            picture.Save(Path.Combine("photos", $"{row.Id}.png"));
            lines.Add($"{row.Id}.png\t{row.Label}");
        }
        File.WriteAllLines("photos.tsv", lines);
    }

    private static string[] Classes(IDataView scored) => [.. scored.GetColumn<string>("Class")];
}
