using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(
    typeof(PictureLoadingTransformer), null, typeof(SignatureLoadModel), "MoE picture loader", PictureLoadingTransformer.LoaderSignature)]
[assembly: LoadableClass(
    typeof(PictureLoadingMapper),
    typeof(PictureLoadingTransformer),
    null,
    typeof(SignatureLoadRowMapper),
    "MoE picture loader",
    PictureLoadingTransformer.LoaderSignature
)]

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Loads pictures, as a step of a pipeline: adds a column of <see cref="MLImage"/> to a data view.</summary>
/// <inheritdoc cref="PictureLoader" path="/remarks"/>
public sealed class PictureLoadingTransformer : ITransformer
{
    /// <summary>The name by which ML.NET finds the loader, at most 24 characters. Never change it: it is in every saved model.</summary>
    internal const string LoaderSignature = "MoEPictureLoader";

    /// <summary>What columns are taken, for messages.</summary>
    internal const string Expected = "a text, the name of a file, or a vector of Byte, what is in it";

    private const uint Version = 0x00010001;

    private readonly IHost host;

    internal PictureLoadingTransformer(
        IHostEnvironment environment, string outputColumnName, string inputColumnName, string imageFolder, PictureDecoding decoding)
    {
        host = environment.Register(nameof(PictureLoadingTransformer));
        (OutputColumnName, InputColumnName, ImageFolder, Decoding) = (outputColumnName, inputColumnName, imageFolder, decoding);
    }

    /// <summary>Column that receives the pictures.</summary>
    public string OutputColumnName { get; }

    /// <summary>Column with the files.</summary>
    public string InputColumnName { get; }

    /// <summary>Folder of files whose names have no root; empty for the process's working folder.</summary>
    public string ImageFolder { get; }

    bool ITransformer.IsRowToRowMapper => true;

    /// <summary>How files become pixels.</summary>
    internal PictureDecoding Decoding { get; }

    /// <summary>Adds the column to a data view. Nothing is read until rows are.</summary>
    /// <exception cref="ArgumentException">The input column is missing or has another type.</exception>
    public IDataView Transform(IDataView input)
    {
        host.CheckValue(input, nameof(input));
        return new RowToRowMapperTransform(host, input, CreateMapper(input.Schema), CreateMapper);
    }

    /// <summary>The columns that <see cref="Transform"/> gives.</summary>
    /// <exception cref="ArgumentException">The input column is missing or has another type.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return RowToRowMapperTransform.GetOutputSchema(inputSchema, CreateMapper(inputSchema));
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return new RowToRowMapperTransform(host, new EmptyDataView(host, inputSchema), CreateMapper(inputSchema), CreateMapper);
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        host.CheckValue(ctx, nameof(ctx));
        ctx.CheckAtModel();
        ctx.SetVersionInfo(GetVersion());
        ctx.Writer.Write(
            new PictureLoadingDocument
            {
                OutputColumn = OutputColumnName,
                InputColumn = InputColumnName,
                ImageFolder = ImageFolder,
                Background = [Decoding.Background.R, Decoding.Background.G, Decoding.Background.B],
                MaxPixels = Decoding.MaxPixels,
                AcceptIncomplete = Decoding.AcceptIncomplete,
            }.ToJson());
    }

    // ML.NET finds this by its signature when it loads a model zip.
    private static PictureLoadingTransformer Create(IHostEnvironment environment, ModelLoadContext context)
    {
        Contracts.CheckValue(environment, nameof(environment));
        environment.CheckValue(context, nameof(context));
        context.CheckAtModel(GetVersion());
        try
        {
            var document = PictureLoadingDocument.FromJson(context.Reader.ReadString());
            var options = document.ToOptions();
            return new(
                environment, document.OutputColumn, document.InputColumn, document.ImageFolder,
                new(options.Background, document.MaxPixels, document.AcceptIncomplete));
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or FormatException)
        {
            throw environment.ExceptDecode($"The model '{context.Directory}' in this file cannot be loaded: {e.Message}");
        }
    }

    // And this one where the transform of a single row was saved on its own.
    private static PictureLoadingMapper Create(IHostEnvironment environment, ModelLoadContext context, DataViewSchema inputSchema) =>
        Create(environment, context).CreateMapper(inputSchema);

    private static VersionInfo GetVersion() => new(
        modelSignature: "MOEPICLD",
        verWrittenCur: Version,
        verReadableCur: Version,
        verWeCanReadBack: Version,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(PictureLoadingTransformer).Assembly.FullName);

    private PictureLoadingMapper CreateMapper(DataViewSchema schema)
    {
        var column = schema.GetColumnOrNull(InputColumnName)
            ?? throw host.ExceptSchemaMismatch(nameof(schema), "input", InputColumnName);
        var isFile = column.Type is VectorDataViewType vector && vector.ItemType == NumberDataViewType.Byte;
        if (column.Type is not TextDataViewType && !isFile)
            throw host.ExceptSchemaMismatch(nameof(schema), "input", InputColumnName, Expected, column.Type.ToString());
        return new(this, column);
    }
}
