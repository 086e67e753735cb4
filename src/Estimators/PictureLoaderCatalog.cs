using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;

namespace Microsoft.ML;

/// <summary>Adds <see cref="PictureLoader"/> to <c>mlContext.Transforms</c>.</summary>
public static class PictureLoaderCatalog
{
    /// <summary>
    /// Loads pictures as a viewer shows them: upright, in the colours of sRGB, on white. Takes the place of <c>LoadImages</c>, with the
    /// same arguments.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">Column that receives the pictures.</param>
    /// <param name="imageFolder">Folder of files whose names have no root; empty or null for the process's working folder.</param>
    /// <param name="inputColumnName">
    /// Column with the files: texts with their names, or vectors of bytes with what is in them. Null (default): the same name as the
    /// output.
    /// </param>
    /// <exception cref="ArgumentException">A column name is empty.</exception>
    public static PictureLoader LoadPictures(
        this TransformsCatalog catalog, string outputColumnName, string? imageFolder, string? inputColumnName = null) =>
        catalog.LoadPictures(new PictureLoader.Options
        {
            OutputColumnName = outputColumnName,
            ImageFolder = imageFolder ?? "",
            InputColumnName = inputColumnName,
        });

    /// <summary>Loads pictures as a viewer shows them.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Columns, background, limits. Copied: later changes have no effect.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public static PictureLoader LoadPictures(this TransformsCatalog catalog, PictureLoader.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(options);
        return new PictureLoader(catalog.GetEnvironment(), options);
    }
}
