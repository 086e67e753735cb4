using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Loads pictures as a viewer shows them, in place of ML.NET's <c>LoadImages</c>: from the names of files, or from their bytes, to a column
/// of <see cref="MLImage"/> for ML.NET's transforms and this library's estimators.
/// </summary>
/// <remarks>
/// <para>JPEG, PNG, WebP, GIF and BMP, in grey, colour, CMYK or with a palette, of up to 16 bits a channel, which become 8. They are turned
/// as their Exif data say, converted to sRGB where they carry a colour profile, and put on a background where they are transparent. Of an
/// animation the first picture is taken.</para>
/// <para><c>LoadImages</c> does none of this: photographs of a telephone lie on their side, wide-gamut colours are pale, what is
/// transparent is black, the missing part of a file that was cut off too, and a small file with a thousand million pixels takes
/// gigabytes.</para>
/// <para>A picture is decoded when its row is read. One that cannot be read throws an exception that names the file; this library's
/// estimators and transformers count such rows, name the first, and go on. An empty name is a missing picture.</para>
/// </remarks>
public sealed partial class PictureLoader : IEstimator<PictureLoadingTransformer>
{
    private readonly IHost host;
    private readonly PictureLoadingTransformer transformer;

    internal PictureLoader(IHostEnvironment environment, Options options)
    {
        options.Validate();
        host = environment.Register(nameof(PictureLoader));
        transformer = new PictureLoadingTransformer(
            environment,
            options.OutputColumnName,
            options.InputColumnName ?? options.OutputColumnName,
            options.ImageFolder ?? "",
            new(options.Background, options.MaxPixels, options.AcceptIncomplete));
    }

    /// <summary>Checks the columns. Nothing is read.</summary>
    /// <param name="input">The data.</param>
    /// <returns>What loads the pictures.</returns>
    /// <exception cref="ArgumentException">The input column is missing or has another type.</exception>
    public PictureLoadingTransformer Fit(IDataView input)
    {
        host.CheckValue(input, nameof(input));
        _ = transformer.GetOutputSchema(input.Schema);
        return transformer;
    }

    /// <summary>The columns after this estimator, from the columns before it.</summary>
    /// <exception cref="ArgumentException">The input column is missing or has another type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        var name = transformer.InputColumnName;
        if (!inputSchema.TryFindColumn(name, out var column))
            throw host.ExceptSchemaMismatch(nameof(inputSchema), "input", name);
        var isText = column.Kind == SchemaShape.Column.VectorKind.Scalar && column.ItemType is TextDataViewType;
        if (!isText && (column.Kind == SchemaShape.Column.VectorKind.Scalar || column.ItemType != NumberDataViewType.Byte || column.IsKey))
        {
            throw host.ExceptSchemaMismatch(
                nameof(inputSchema), "input", name, PictureLoadingTransformer.Expected, column.GetTypeString());
        }

        var columns = inputSchema.ToDictionary(one => one.Name);
        columns[transformer.OutputColumnName] = new(
            transformer.OutputColumnName, SchemaShape.Column.VectorKind.Scalar, new ImageDataViewType(), isKey: false);
        return new SchemaShape(columns.Values);
    }
}
