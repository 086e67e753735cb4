using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Microsoft.ML.Transforms.Image;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A column of images and how its values become the numbers of one image, always in the order channels, height, width.</summary>
/// <param name="Name">Name of the column.</param>
/// <param name="Type">What the column declares.</param>
/// <param name="Shape">Size of the images after resizing.</param>
/// <param name="ChannelsLast">Whether the values come as (H, W, C).</param>
/// <param name="Resizing">How pictures of another size are brought to this one.</param>
internal sealed record ImageColumn(
    string Name, ImageColumnType Type, ImageShape Shape, bool ChannelsLast, ImageResizingEstimator.ResizingKind Resizing)
{
    /// <summary>Type of one number: pictures and bytes stay bytes, which takes a quarter of the memory.</summary>
    public torch.ScalarType NumberType => Type.Kind == ImageColumnKind.Floats ? torch.ScalarType.Float32 : torch.ScalarType.Byte;

    /// <summary>Bytes of one image.</summary>
    public int ByteCount => Shape.Length * (Type.Kind == ImageColumnKind.Floats ? sizeof(float) : sizeof(byte));

    /// <summary>Finds the column in a schema and works out its images' shape.</summary>
    /// <param name="context">Marks exceptions as ML.NET does.</param>
    /// <param name="schema">The schema.</param>
    /// <param name="wanted">What is asked for.</param>
    /// <exception cref="ArgumentException">There is no such column, or it cannot hold such images.</exception>
    public static ImageColumn Find(IExceptionContext context, DataViewSchema schema, WantedImages wanted)
    {
        var name = wanted.ColumnName;
        var column = schema.GetColumnOrNull(name) ?? throw context.ExceptSchemaMismatch(nameof(schema), "feature", name);
        var type = ImageColumnType.From(column.Type)
            ?? throw context.ExceptSchemaMismatch(nameof(schema), "feature", name, ImageColumnType.Expected, column.Type.ToString());
        return Of(type, wanted);
    }

    /// <summary>Checks the column as far as can be said before there are data: of pictures all, of vectors not their dimensions.</summary>
    /// <exception cref="ArgumentException">There is no such column, or it cannot hold such images.</exception>
    /// <inheritdoc cref="Find"/>
    public static void Check(IExceptionContext context, SchemaShape schema, WantedImages wanted)
    {
        var name = wanted.ColumnName;
        if (!schema.TryFindColumn(name, out var column))
            throw context.ExceptSchemaMismatch(nameof(schema), "feature", name);
        if (!ImageColumnType.CanBe(column))
            throw context.ExceptSchemaMismatch(nameof(schema), "feature", name, ImageColumnType.Expected, column.GetTypeString());
        if (column.ItemType is ImageDataViewType pictures)
            _ = Of(ImageColumnType.From(pictures)!, wanted);
    }

    /// <summary>
    /// Finds a column that can stand in for this one in another schema: the same kind of values, and the same shape or, for pictures, any
    /// size.
    /// </summary>
    /// <exception cref="ArgumentException">There is no such column, or its images differ.</exception>
    public ImageColumn FindIn(IExceptionContext context, DataViewSchema schema)
    {
        var found = schema.GetColumnOrNull(Name) ?? throw context.ExceptSchemaMismatch(nameof(schema), "feature", Name);
        if (ImageColumnType.From(found.Type) is not { } type || type.Kind != Type.Kind)
            throw context.ExceptSchemaMismatch(nameof(schema), "feature", Name, Type.ToDataViewType().ToString(), found.Type.ToString());
        return Find(context, schema, new(Name, Shape.Channels, Shape.Height, Shape.Width, Resizing));
    }

    /// <summary>Reads the images of the rows that <paramref name="row"/> moves over.</summary>
    /// <param name="row">A row in which the column is active.</param>
    public ImageReader OpenReader(DataViewRow row)
    {
        var column = row.Schema[Name];
        return Type.Kind switch
        {
            ImageColumnKind.Image => new PictureReader(row.GetGetter<MLImage>(column), this),
            ImageColumnKind.Bytes => new VectorReader<byte>(row.GetGetter<VBuffer<byte>>(column), this),
            _ => new VectorReader<float>(row.GetGetter<VBuffer<float>>(column), this),
        };
    }

    private static ImageColumn Of(ImageColumnType type, WantedImages wanted)
    {
        var name = wanted.ColumnName;
        var (shape, channelsLast) = type.Resolve(name, wanted.Channels, wanted.Height, wanted.Width, wanted.Usual);
        if (type.Kind == ImageColumnKind.Image && shape.Channels is not (1 or 3))
            throw new ArgumentException(
                $"Channels is {shape.Channels}; for a column of pictures ('{name}') it must be 1 (grey) or 3 (colour).");
        return new(name, type, shape, channelsLast, wanted.Resizing);
    }
}
