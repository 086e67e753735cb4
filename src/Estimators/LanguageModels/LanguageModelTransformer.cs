using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

[assembly: LoadableClass(
    typeof(LanguageModelTransformer), null, typeof(SignatureLoadModel), "MoE language model", LanguageModelFormat.LoaderSignature)]
[assembly: LoadableClass(
    typeof(RowBlockMapper),
    typeof(LanguageModelTransformer),
    null,
    typeof(SignatureLoadRowMapper),
    "MoE language model",
    LanguageModelFormat.LoaderSignature
)]

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A trained language model as a step of a pipeline: says how likely texts are, and continues them.</summary>
/// <remarks>
/// <para>
/// Each row's text is read on its own, as if a document ended before it. Texts longer than the model's context are read in windows, and
/// each token is scored once (see
/// <see cref="DocumentScorer"/>). Empty and missing texts have the log-likelihood 0, no tokens, a perplexity that is NaN, and the embedding
/// of the place where a document begins. Text that is no Unicode (half a surrogate pair) is read as U+FFFD.
/// </para>
/// <para>
/// Rows are scored in blocks. Transforming and generating on several threads is safe; the model itself serves one caller at a time. Note
/// that ML.NET's <c>PredictionEngine</c> disposes the transformer it was made of, unless told otherwise.
/// </para>
/// </remarks>
public sealed class LanguageModelTransformer : ITransformer, IDisposable
{
    // Documents, and tokens of them, that are scored together when a whole data view is evaluated.
    private const int MostDocuments = 1024;
    private const int MostTokens = 1 << 20;

    private readonly IHost host;
    private readonly LanguageModelScorer scorer;
    private readonly LanguageModelColumns columns;
    private readonly GenerationOptions continuation;
    private readonly ScoringSettings scoring;

    internal LanguageModelTransformer(
        IHostEnvironment environment, LanguageModelScorer scorer, LanguageModelColumns columns, GenerationOptions continuation,
        ScoringSettings scoring, LanguageModelSummary? training)
    {
        host = environment.Register(nameof(LanguageModelTransformer));
        this.scorer = scorer;
        this.columns = columns;
        this.continuation = continuation;
        this.scoring = scoring;
        Training = training;
    }

    /// <summary>
    /// The network, owned by the transformer. Scores follow its weights: changes by operations of torch are noticed when the next rows are
    /// scored, or the next text is begun.
    /// </summary>
    public LanguageModel Model => scorer.LendModel();

    /// <summary>What turns text into the network's tokens.</summary>
    public TextTokenizer Tokenizer => scorer.Tokenizer;

    /// <summary>
    /// How it was trained. Saved with the model; null for one that was saved before version 0x00010002 of the format, which did not keep
    /// it.
    /// </summary>
    public LanguageModelSummary? Training { get; }

    /// <summary>
    /// What happened in each epoch of the training: mean losses, learning rate, tokens per second, and the result on the validation data.
    /// Saved with the model; empty where
    /// <see cref="Training"/> is null.
    /// </summary>
    public IReadOnlyList<EpochSummary> History => Training?.Training.Epochs ?? [];

    /// <summary>Column that texts are read from.</summary>
    public string TextColumnName => columns.Text;

    /// <summary>Column that receives the natural logarithm of a text's probability, a Single; null for none.</summary>
    public string? LogLikelihoodColumnName => columns.LogLikelihood;

    /// <summary>Column that receives the number of a text's tokens, an Int32; null for none.</summary>
    public string? TokenCountColumnName => columns.TokenCount;

    /// <summary>Column that receives exp(−log-likelihood / tokens), a Single; null for none.</summary>
    public string? PerplexityColumnName => columns.Perplexity;

    /// <summary>Column that receives the mean of the last layer over a text, a vector of Single; null for none.</summary>
    public string? EmbeddingColumnName => columns.Embedding;

    /// <summary>Column that receives a continuation of the text; null for none.</summary>
    public string? ContinuationColumnName => columns.Continuation;

    bool ITransformer.IsRowToRowMapper => true;

    internal LanguageModelScorer Scorer => scorer;

    /// <summary>Adds the columns to a data view. Nothing is computed until rows are read.</summary>
    /// <exception cref="ArgumentException">The text column is missing or has another type.</exception>
    public IDataView Transform(IDataView input)
    {
        host.CheckValue(input, nameof(input));
        var text = columns.FindText(host, input.Schema);
        return new ScoringDataView(
            host,
            input,
            [text.Name],
            (rows, isActive) => Array.ConvertAll(rows, IRowBlock (row) => Open(row, isActive)),
            scoring.BatchSize,
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

    /// <summary>Measures how well the model predicts texts, and how it uses its experts for them.</summary>
    /// <param name="data">A data view with the text column; <see cref="Transform"/> is not needed before.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ArgumentException">The text column is missing or has another type.</exception>
    /// <exception cref="InvalidOperationException">No text has a token.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public LanguageModelMetrics Evaluate(IDataView data, CancellationToken cancellationToken = default)
    {
        host.CheckValue(data, nameof(data));
        ExpertUsage[] usage = scorer.Model.Config.SparseExperts is { } experts
            ? [.. scorer.Model.Config.SparseBlocksOrMiddle.Select(_ => new ExpertUsage(experts))]
            : [];
        var (documents, tokens, bytes, logLikelihood) = (0L, 0L, 0L, 0.0);
        var waiting = new List<int[]>();
        foreach (var text in TextRows.Read(host, data, columns.FindText(host, data.Schema), cancellationToken))
        {
            var document = Tokenizer.Encode(text);
            if (document.Length == 0)
                continue;
            waiting.Add(document);
            documents++;
            tokens += document.Length;
            bytes += Encoding.UTF8.GetByteCount(TextTokenizer.Unicode(text));
            if (waiting.Count == MostDocuments || waiting.Sum(one => (long)one.Length) >= MostTokens)
                Score();
        }
        Score();
        if (tokens == 0)
            throw new InvalidOperationException($"No row has a text with a token in column '{columns.Text}': at least one is wanted.");
        return new(
            documents,
            tokens,
            bytes,
            logLikelihood,
            [.. usage.Zip(scorer.Model.Config.SparseBlocksOrMiddle.Order(), (layer, block) => SparseLayerUsage.From(block, layer))]);

        void Score()
        {
            host.CheckAlive();
            logLikelihood += scorer
                .Score(waiting, withLikelihoods: true, withEmbeddings: false, usage.Length > 0 ? usage : null, cancellationToken)
                .Sum(score => score.LogLikelihood);
            waiting.Clear();
        }
    }

    /// <summary>
    /// Continues a text, piece by piece as it comes. A piece is never part of a character, and never part of a stop string; the prompt is
    /// not repeated. The text ends where the model ends the document, at a stop string, or after <see cref="GenerationOptions.MaxTokens"/>.
    /// Keys and values of the tokens before are kept, so that each token costs one token's work; where the model's context is full,
    /// generation goes on from its last half.
    /// </summary>
    /// <param name="prompt">The text to continue; null or empty for a new document.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="cancellationToken">Ends it within a token, with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public IAsyncEnumerable<string> GenerateAsync(
        string? prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= new GenerationOptions();
        options.Validate();
        return Generate(prompt, options, cancellationToken);
    }

    /// <summary>Frees the model. Using it afterwards throws <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => scorer.Dispose();

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return new RowToRowMapperTransform(host, new EmptyDataView(host, inputSchema), CreateMapper(inputSchema), CreateMapper);
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        host.CheckValue(ctx, nameof(ctx));
        scorer.Use(model => LanguageModelFormat.Save(ctx, Describe(model.Config), Tokenizer, model, Training));
    }

    // ML.NET finds this by its signature when it loads a model zip.
    private static LanguageModelTransformer Create(IHostEnvironment environment, ModelLoadContext context)
    {
        Contracts.CheckValue(environment, nameof(environment));
        environment.CheckValue(context, nameof(context));
        var device = environment.SelectDevice();   // loads libtorch: before anything of it is touched
        using var disposeScope = torch.NewDisposeScope();   // the scorer takes the weights out of it
        var (document, tokenizer, training, model) = LanguageModelFormat.Load(environment, context, device);
        return new LanguageModelTransformer(
            environment, new LanguageModelScorer(model, tokenizer, document.PredictionBatchSize), document.Columns, document.Continuation,
            new(document.Precision, document.PredictionBatchSize), training);
    }

    // And this one where the transform of a single row was saved on its own.
    private static RowBlockMapper Create(IHostEnvironment environment, ModelLoadContext context, DataViewSchema inputSchema) =>
        Create(environment, context).CreateMapper(inputSchema);

    private async IAsyncEnumerable<string> Generate(
        string? prompt, GenerationOptions options, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Each token is made on the thread pool: who listens may be a user interface.
        using var generation = await Task.Run(
                () => scorer.Generate(prompt, options, options.Seed ?? Random.Shared.Next()),
                cancellationToken)
            .ConfigureAwait(false);
        while (await Task.Run(generation.Next, cancellationToken).ConfigureAwait(false) is { } ready)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (ready.Length > 0)
                yield return ready;
        }
    }

    private LanguageModelDocument Describe(LanguageModelConfig config) => new()
    {
        Columns = columns,
        Continuation = continuation,
        Tokenizer = Tokenizer.Describe(),
        TokenizerFiles = [.. Tokenizer.Files.Keys],
        Precision = scoring.Precision,
        PredictionBatchSize = scoring.BatchSize,
        Model = JsonNode.Parse(config.ToJson())!.AsObject(),
    };

    private TextRowBlock Open(DataViewRow row, Func<int, bool> isActive) =>
        new TextRowBlock(scorer, columns, continuation, row.GetGetter<ReadOnlyMemory<char>>(row.Schema[columns.Text]), isActive);

    private RowBlockMapper CreateMapper(DataViewSchema schema) =>
        new(this, columns.ToColumns(scorer.Model.Config.Width), [columns.FindText(host, schema)], Open);
}
