using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;

namespace Estimators.Tests.Support;

/// <summary><see cref="Colours.Pictures"/> as files in a folder of their own, some of them spoilt.</summary>
internal sealed class PictureFiles : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("moe-ml-pictures-").FullName;
    private readonly List<PictureFile> rows = [];

    /// <summary>Writes the files.</summary>
    /// <param name="count">Number of rows.</param>
    /// <param name="noImage">A row whose file is text.</param>
    /// <param name="empty">A row whose file has no bytes.</param>
    /// <param name="absent">A row whose file does not exist.</param>
    /// <param name="noPath">A row without a path: ML.NET gives a missing picture for it.</param>
    public PictureFiles(int count, int? noImage = null, int? empty = null, int? absent = null, int? noPath = null)
    {
        foreach (var row in Colours.Pictures(count))
        {
            using var picture = row.Features!;
            var name = string.Create(CultureInfo.InvariantCulture, $"{row.Id}.png");
            var path = Path.Combine(folder, name);
            if (row.Id == noImage)
                File.WriteAllText(path, "not an image");
            else if (row.Id == empty)
                File.WriteAllBytes(path, []);
            else if (row.Id != absent)
                picture.Save(path);
            rows.Add(new PictureFile { Path = row.Id == noPath ? "" : name, Label = row.Label, Id = row.Id });
        }
    }

    /// <summary>Where they are.</summary>
    public string Folder => folder;

    /// <summary>The rows: paths, labels and ids.</summary>
    public IDataView Rows(MLContext ml) => ml.Data.LoadFromEnumerable(rows);

    /// <summary>Loads the pictures of <see cref="Rows"/> into the column "Features".</summary>
    public ImageLoadingEstimator Loader(MLContext ml) => ml.Transforms.LoadImages("Features", folder, nameof(PictureFile.Path));

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(folder, recursive: true);
}
