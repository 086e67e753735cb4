using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

[assembly: LoadableClass(
    typeof(TextClassificationTransformer), null, typeof(SignatureLoadModel), "MoE text classifier", TextClassifierFormat.LoaderSignature)]
[assembly: LoadableClass(
    typeof(RowBlockMapper),
    typeof(TextClassificationTransformer),
    null,
    typeof(SignatureLoadRowMapper),
    "MoE text classifier",
    TextClassifierFormat.LoaderSignature
)]

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A trained classifier of texts as a step of a pipeline: adds the class probabilities, the predicted label and, where asked for, the
/// embedding to a data view.
/// </summary>
/// <remarks>
/// Rows are scored in blocks. A row in which a text is missing or empty gets scores of NaN and a missing predicted label; a warning in
/// <see cref="MLContext.Log"/> counts such rows, and those of which the end was left out. Transforming on several threads is safe; the
/// network serves one caller at a time. Note that ML.NET's <c>PredictionEngine</c> disposes the transformer it was made of, unless told
/// otherwise. </remarks>
public sealed class TextClassificationTransformer : ITransformer, IDisposable
{
    /// <summary>Batches of rows that are read at once: texts of like length are found among them.</summary>
    internal const int BatchesOfBlock = 16;

    private readonly IHost host;
    private readonly TextClassificationScorer scorer;
    private readonly TextClassifierDocument document;
    private readonly ClassificationColumns output;

    internal TextClassificationTransformer(
        IHostEnvironment environment, TextClassificationScorer scorer, TextClassifierDocument document, LabelValues? labels,
        TextClassificationSummary? training)
    {
        host = environment.Register(nameof(TextClassificationTransformer));
        (this.scorer, this.document, Training) = (scorer, document, training);
        output = new(
            document.PredictedLabelColumn, document.ScoreColumn, document.EmbeddingColumn, document.ClassCount, document.Encoder.Width,
            labels);
    }

    /// <summary>The network below the layer that reads the classes, owned by the transformer.</summary>
    public TextEncoder Encoder => scorer.Model.Encoder;

    /// <summary>How it was trained. Saved with the model.</summary>
    public TextClassificationSummary? Training { get; }

    /// <summary>What happened in each epoch of the training. Saved with the model.</summary>
    public IReadOnlyList<EpochSummary> History => Training?.Training.Epochs ?? [];

    /// <summary>Column that texts are read from.</summary>
    public string TextColumnName => document.TextColumn;

    /// <summary>Column that the second texts of pairs are read from; null where there are none.</summary>
    public string? SecondTextColumnName => document.SecondTextColumn;

    /// <summary>Column that labels were read from when the model was trained. Not needed to predict.</summary>
    public string LabelColumnName => document.LabelColumn;

    /// <summary>Column that receives the class probabilities.</summary>
    public string ScoreColumnName => document.ScoreColumn;

    /// <summary>Column that receives the predicted label.</summary>
    public string PredictedLabelColumnName => document.PredictedLabelColumn;

    /// <summary>Column that receives the mean of the last layer over the tokens, from which the classes are read; null for none.</summary>
    public string? EmbeddingColumnName => document.EmbeddingColumn;

    bool ITransformer.IsRowToRowMapper => true;

    internal TextClassificationScorer Scorer => scorer;

    internal LabelValues? LabelValues => output.LabelValues;

    /// <summary>Adds the columns to a data view. Nothing is computed until rows are read.</summary>
    /// <exception cref="ArgumentException">A text column is missing or has another type.</exception>
    public IDataView Transform(IDataView input)
    {
        host.CheckValue(input, nameof(input));
        var texts = FindTexts(input.Schema);
        return new ScoringDataView(
            host,
            input,
            Array.ConvertAll(texts, column => column.Name),
            (rows, _) => Array.ConvertAll(rows, IRowBlock (row) => Open(row)),
            BatchesOfBlock * document.PredictionBatchSize,
            CreateMapper(input.Schema),
            CreateMapper);
    }

    /// <summary>The columns that <see cref="Transform"/> gives.</summary>
    /// <exception cref="ArgumentException">A text column is missing or has another type.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return RowToRowMapperTransform.GetOutputSchema(inputSchema, CreateMapper(inputSchema));
    }

    /// <summary>Frees the network. Scoring afterwards throws <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => scorer.Dispose();

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return new RowToRowMapperTransform(host, new EmptyDataView(host, inputSchema), CreateMapper(inputSchema), CreateMapper);
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        host.CheckValue(ctx, nameof(ctx));
        scorer.Use(model => TextClassifierFormat.Save(ctx, document, scorer.Tokenizer, model, Training));
    }

    /// <summary>Finds a text column in a schema.</summary>
    /// <exception cref="ArgumentException">There is no such column, or it holds something else.</exception>
    internal static DataViewSchema.Column FindText(IExceptionContext context, DataViewSchema schema, string name)
    {
        var column = schema.GetColumnOrNull(name) ?? throw context.ExceptSchemaMismatch(nameof(schema), "text", name);
        return column.Type is TextDataViewType
            ? column
            : throw context.ExceptSchemaMismatch(
                nameof(schema), "text", name, TextDataViewType.Instance.ToString(), column.Type.ToString());
    }

    // ML.NET finds this by its signature when it loads a model zip.
    private static TextClassificationTransformer Create(IHostEnvironment environment, ModelLoadContext context)
    {
        Contracts.CheckValue(environment, nameof(environment));
        environment.CheckValue(context, nameof(context));
        var device = environment.SelectDevice();   // loads libtorch: before anything of it is touched
        using var disposeScope = torch.NewDisposeScope();   // the scorer takes the weights out of it
        var (document, tokenizer, labels, training, model) = TextClassifierFormat.Load(environment, context, device);
        return new(environment, new(model, tokenizer, device), document, labels, training);
    }

    // And this one where the transform of a single row was saved on its own.
    private static RowBlockMapper Create(IHostEnvironment environment, ModelLoadContext context, DataViewSchema inputSchema) =>
        Create(environment, context).CreateMapper(inputSchema);

    private TextClassificationRowBlock Open(DataViewRow row) =>
        new(host, scorer, new(row, (TextColumnName, SecondTextColumnName), scorer.Tokenizer, document.MaxTokens), document);

    private RowBlockMapper CreateMapper(DataViewSchema schema) =>
        new(this, output.For(schema), FindTexts(schema), (row, _) => Open(row));

    private DataViewSchema.Column[] FindTexts(DataViewSchema schema) =>
        SecondTextColumnName is { } second
            ? [FindText(host, schema, TextColumnName), FindText(host, schema, second)]
            : [FindText(host, schema, TextColumnName)];
}
