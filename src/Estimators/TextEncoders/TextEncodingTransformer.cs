using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;
using TorchSharp;

[assembly: LoadableClass(
    typeof(TextEncodingTransformer), null, typeof(SignatureLoadModel), "MoE text encoder", TextEncodingFormat.LoaderSignature)]
[assembly: LoadableClass(
    typeof(RowBlockMapper),
    typeof(TextEncodingTransformer),
    null,
    typeof(SignatureLoadRowMapper),
    "MoE text encoder",
    TextEncodingFormat.LoaderSignature
)]

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A text encoder as a step of a pipeline: maps every text to a vector; texts of similar meaning get vectors close to each other.
/// </summary>
/// <remarks>
/// The vector is the mean of the last layer's over the text's tokens. A missing text counts as empty, which has a vector too. Of a text
/// that is longer than the network reads the rest is left out; a warning counts them. Transforming on several threads is safe; the network
/// itself serves one caller at a time.
/// </remarks>
public sealed class TextEncodingTransformer : ITransformer, IDisposable
{
    private readonly IHost host;
    private readonly TextEncodingScorer scorer;
    private readonly TextEncodingDocument document;

    internal TextEncodingTransformer(IHostEnvironment environment, TextEncodingScorer scorer, TextEncodingDocument document)
    {
        host = environment.Register(nameof(TextEncodingTransformer));
        (this.scorer, this.document) = (scorer, document);
    }

    /// <summary>The network, owned by the transformer.</summary>
    public TextEncoder Model => scorer.Model;

    /// <summary>Column that texts are read from.</summary>
    public string InputColumnName => document.InputColumnName;

    /// <summary>Column that receives a vector of Single as long as the network is wide.</summary>
    public string OutputColumnName => document.OutputColumnName;

    bool ITransformer.IsRowToRowMapper => true;

    /// <summary>Adds the column to a data view. Nothing is computed until rows are read.</summary>
    /// <exception cref="ArgumentException">The text column is missing or has another type.</exception>
    public IDataView Transform(IDataView input)
    {
        host.CheckValue(input, nameof(input));
        var text = FindText(input.Schema);
        return new ScoringDataView(
            host,
            input,
            [text.Name],
            (rows, isActive) => Array.ConvertAll(rows, IRowBlock (row) => Open(row, isActive)),
            TextClassificationTransformer.BatchesOfBlock * document.PredictionBatchSize,
            CreateMapper(input.Schema),
            CreateMapper);
    }

    /// <summary>The columns that <see cref="Transform"/> gives.</summary>
    /// <exception cref="ArgumentException">The text column is missing or has another type.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return RowToRowMapperTransform.GetOutputSchema(inputSchema, CreateMapper(inputSchema));
    }

    /// <summary>Frees the network. Using it afterwards throws <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => scorer.Dispose();

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return new RowToRowMapperTransform(host, new EmptyDataView(host, inputSchema), CreateMapper(inputSchema), CreateMapper);
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        host.CheckValue(ctx, nameof(ctx));
        scorer.Use(model => TextEncodingFormat.Save(ctx, document, scorer.Tokenizer, model));
    }

    // ML.NET finds this by its signature when it loads a model zip.
    private static TextEncodingTransformer Create(IHostEnvironment environment, ModelLoadContext context)
    {
        Contracts.CheckValue(environment, nameof(environment));
        environment.CheckValue(context, nameof(context));
        var device = environment.SelectDevice();   // loads libtorch: before anything of it is touched
        using var disposeScope = torch.NewDisposeScope();   // the scorer takes the weights out of it
        var (document, tokenizer, model) = TextEncodingFormat.Load(environment, context, device);
        return new(environment, new(model, tokenizer, device, (document.PredictionBatchSize, document.Normalize)), document);
    }

    // And this one where the transform of a single row was saved on its own.
    private static RowBlockMapper Create(IHostEnvironment environment, ModelLoadContext context, DataViewSchema inputSchema) =>
        Create(environment, context).CreateMapper(inputSchema);

    private TextEncodingRowBlock Open(DataViewRow row, Func<int, bool> isActive) =>
        new(host, scorer, row.GetGetter<ReadOnlyMemory<char>>(row.Schema[InputColumnName]));

    private RowBlockMapper CreateMapper(DataViewSchema schema) =>
        new(
            this,
            [new(OutputColumnName, new VectorDataViewType(NumberDataViewType.Single, Model.Config.Width))],
            [FindText(schema)],
            Open);

    private DataViewSchema.Column FindText(DataViewSchema schema) =>
        TextClassificationTransformer.FindText(host, schema, InputColumnName);
}
