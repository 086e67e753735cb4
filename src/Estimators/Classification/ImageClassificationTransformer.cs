using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

[assembly: LoadableClass(
    typeof(ImageClassificationTransformer), null, typeof(SignatureLoadModel), "MoE image classifier", ClassifierFormat.LoaderSignature)]
[assembly: LoadableClass(
    typeof(RowBlockMapper),
    typeof(ImageClassificationTransformer),
    null,
    typeof(SignatureLoadRowMapper),
    "MoE image classifier",
    ClassifierFormat.LoaderSignature
)]

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A trained image classifier as a step of a pipeline: adds the class probabilities, the predicted label and, where asked for, the
/// embedding to a data view.
/// </summary>
/// <remarks>
/// Rows are scored in blocks; while a block of pictures is scored, the next one is read and decoded on another thread. Transforming on
/// several threads is safe; models of patches in float32 on the CPU score side by side, others one block at a time. A row whose image
/// is missing or cannot be read gets scores of NaN and a missing predicted label; a warning in <see cref="MLContext.Log"/> counts such rows
/// when they have been read. Note that ML.NET's <c>PredictionEngine</c> disposes the transformer it was made of, unless told otherwise.
/// <c>PermutationFeatureImportance</c> works where the images are vectors of Single; it scores the data once for each pixel. Of its two
/// forms the one that takes any model, a loaded pipeline, say, wants a name for each pixel (slot names of the feature column); the one that
/// takes this transformer does not.
/// </remarks>
public sealed class ImageClassificationTransformer
    : ISingleFeaturePredictionTransformer<ImageClassifier>,
        ISingleFeaturePredictionTransformer,
        IDisposable
{
    private readonly IHost host;
    private readonly ImageScorer scorer;
    private readonly ImageColumn column;
    private readonly ClassificationColumns output;
    private readonly ScoringSettings scoring;

    internal ImageClassificationTransformer(
        IHostEnvironment environment, ImageScorer scorer, ImageColumn column, ClassificationColumns output, string labelColumnName,
        ScoringSettings scoring, ImageClassificationSummary? training)
    {
        host = environment.Register(nameof(ImageClassificationTransformer));
        this.scorer = scorer;
        this.column = column;
        this.output = output;
        this.scoring = scoring;
        LabelColumnName = labelColumnName;
        Training = training;
    }

    /// <summary>
    /// The network, owned by the transformer. It takes images that have been normalised: the transformer does that before it. Scores follow
    /// its weights: changes by operations of torch are noticed when the next rows are scored.
    /// </summary>
    public ImageClassifier Model => scorer.LendModel();

    /// <summary>
    /// How it was trained. Saved with the model; null for one that was saved before version 0x00010002 of the format, which did not keep
    /// it.
    /// </summary>
    public ImageClassificationSummary? Training { get; }

    /// <summary>
    /// What happened in each epoch of the training: mean losses, learning rate, images per second, the load of each routing operation's
    /// experts, and the result on the validation data. Saved with the model; empty where <see cref="Training"/> is null.
    /// </summary>
    public IReadOnlyList<EpochSummary> History => Training?.Training.Epochs ?? [];

    /// <summary>Column that images are read from.</summary>
    public string FeatureColumnName => column.Name;

    /// <summary>Type of that column when the model was trained. Pictures may have any size.</summary>
    public DataViewType FeatureColumnType => column.Type.ToDataViewType();

    /// <summary>Column that labels were read from when the model was trained. Not needed to predict.</summary>
    public string LabelColumnName { get; }

    /// <summary>Column that receives the class probabilities.</summary>
    public string ScoreColumnName => output.ScoreName;

    /// <summary>Column that receives the predicted label.</summary>
    public string PredictedLabelColumnName => output.PredictedLabelName;

    /// <summary>
    /// Column that receives the vector that the classes are read from (<see cref="ImageClassifierOutput.Features_ND"/>); null for none.
    /// </summary>
    public string? EmbeddingColumnName => output.EmbeddingName;

    /// <summary>The views of an image whose scores are averaged. Saved with the model.</summary>
    public ScoringViews ScoringViews => scorer.Views;

    bool ITransformer.IsRowToRowMapper => true;

    internal ImageScorer Scorer => scorer;

    internal LabelValues? LabelValues => output.LabelValues;

    /// <summary>Adds the columns to a data view. Nothing is computed until rows are read.</summary>
    /// <exception cref="ArgumentException">The feature column is missing or has another type than in training.</exception>
    public IDataView Transform(IDataView input)
    {
        host.CheckValue(input, nameof(input));
        var images = column.FindIn(host, input.Schema);
        return new ScoringDataView(
            host, input, [images.Name],
            (rows, isActive) => Open(images, rows, isActive), scoring.BatchSize, CreateMapper(input.Schema), CreateMapper);
    }

    /// <summary>The columns that <see cref="Transform"/> gives.</summary>
    /// <exception cref="ArgumentException">The feature column is missing or has another type than in training.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return RowToRowMapperTransform.GetOutputSchema(inputSchema, CreateMapper(inputSchema));
    }

    /// <summary>
    /// Counts how many patches each expert gets, by routing operation and by the class that the images are labelled with. Reads the data
    /// once, a block of rows at a time.
    /// </summary>
    /// <param name="data">
    /// Images as for <see cref="Transform"/>, and their labels in the column <see cref="LabelColumnName"/>. Labels are told by their
    /// values: the keys may be others than in training. Without that column all images count as unlabelled.
    /// </param>
    /// <param name="cancellationToken">Stops between two blocks.</param>
    /// <returns>The counts; without routing operations for a dense model.</returns>
    /// <exception cref="ArgumentException">The feature column is missing or has another type than in training; or the label is no key, or
    /// its classes cannot be matched with the model's.</exception>
    /// <exception cref="InvalidOperationException">There is no image that can be read.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public ExpertLoadByClass GetExpertLoad(IDataView data, CancellationToken cancellationToken = default)
    {
        host.CheckValue(data, nameof(data));
        var labels = data.Schema.GetColumnOrNull(LabelColumnName) is null
            ? null
            : LabelColumn.Find(host, data.Schema, LabelColumnName, fewestClasses: 1);
        return new ExpertLoadCounter(host, scorer, output).Count(
            data, column.FindIn(host, data.Schema), labels, scoring.BatchSize, cancellationToken);
    }

    /// <summary>Frees the model. Scoring afterwards throws <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => scorer.Dispose();

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return new RowToRowMapperTransform(host, new EmptyDataView(host, inputSchema), CreateMapper(inputSchema), CreateMapper);
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        host.CheckValue(ctx, nameof(ctx));
        scorer.Use(model => ClassifierFormat.Save(ctx, Describe(model.Config), model, Training));
    }

    // ML.NET finds this by its signature when it loads a model zip.
    private static ImageClassificationTransformer Create(IHostEnvironment environment, ModelLoadContext context)
    {
        Contracts.CheckValue(environment, nameof(environment));
        environment.CheckValue(context, nameof(context));
        var device = environment.SelectDevice();   // loads libtorch: before anything of it is touched
        using var disposeScope = torch.NewDisposeScope();   // the scorer takes the weights out of it
        var (document, column, labelValues, training, model) = ClassifierFormat.Load(environment, context, device);
        var columns = new ClassificationColumns(
            document.PredictedLabelColumn, document.ScoreColumn, document.EmbeddingColumn, model.Config.ClassCount,
            model.Config.FeatureWidth, labelValues);
        return new ImageClassificationTransformer(
            environment,
            new ImageScorer(model, document.Normalization, device, document.ScoringViews),
            column,
            columns,
            document.LabelColumn,
            new(document.Precision, document.PredictionBatchSize),
            training);
    }

    // And this one where the transform of a single row was saved on its own.
    private static RowBlockMapper Create(IHostEnvironment environment, ModelLoadContext context, DataViewSchema inputSchema) =>
        Create(environment, context).CreateMapper(inputSchema);

    private ClassifierDocument Describe(ImageClassifierConfig config) =>
        new()
        {
            FeatureColumn = column.Name,
            LabelColumn = LabelColumnName,
            ScoreColumn = output.ScoreName,
            PredictedLabelColumn = output.PredictedLabelName,
            EmbeddingColumn = output.EmbeddingName,
            FeatureKind = column.Type.Kind,
            FeatureDimensions = [.. column.Type.Dimensions],
            Resizing = column.Resizing,
            Normalization = scorer.Normalization,
            Precision = scoring.Precision,
            ScoringViews = scorer.Views,
            PredictionBatchSize = scoring.BatchSize,
            Labels = output.LabelValues?.ToJson(),
            Model = JsonNode.Parse(config.ToJson())!.AsObject(),
        };

    private IRowBlock[] Open(ImageColumn images, DataViewRow[] rows, Func<int, bool> isActive) =>
        ImageRowBlock.Open(
            host, scorer, images, rows, withEmbeddings: output.EmbeddingName is not null && isActive(ClassificationColumns.Embedding));

    private RowBlockMapper CreateMapper(DataViewSchema schema)
    {
        var images = column.FindIn(host, schema);
        return new(this, output.For(schema), [schema[images.Name]], (row, isActive) => Open(images, [row], isActive)[0]);
    }
}
