using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(
    typeof(GeneralistTaskTransformer),
    null,
    typeof(SignatureLoadModel),
    "MoE generalist's task",
    GeneralistTaskTransformer.LoaderSignature
)]
[assembly: LoadableClass(
    typeof(RowBlockMapper),
    typeof(GeneralistTaskTransformer),
    null,
    typeof(SignatureLoadRowMapper),
    "MoE generalist's task",
    GeneralistTaskTransformer.LoaderSignature
)]

namespace Microsoft.ML.MoE.Estimators;

/// <summary>One task of a <see cref="GeneralistTransformer"/>, as a step of a pipeline. Saved with the whole model.</summary>
/// <remarks>
/// <para>
/// A classification adds the key of the nearest class and the classes' probabilities, with the annotations that ML.NET's evaluators ask
/// for. Retrieval adds the representation of a picture, of a text, or of both, whichever columns there are; each is as long as 1, so that
/// the inner product of two is their cosine. A caption adds a description, a causal language model the continuation of a text, a masked one
/// the text with its masks filled in: all else of it stays as it is, however long it is.
/// </para>
/// <para>
/// Every row is scored, whatever a task column says; one without its picture or text scores NaN and has no predicted label and an empty
/// text. Once the rows have been read, a warning in <see cref="MLContext.Log"/> counts those whose picture is missing or cannot be read.
/// Texts that are classified or retrieved are cut where they are too long; those that are continued are read from their end. Transforming
/// on several threads is safe; the model itself serves one caller at a time.
/// </para>
/// </remarks>
public sealed class GeneralistTaskTransformer : ITransformer
{
    /// <summary>The name by which ML.NET finds the loader. Never change it: it is in every saved model.</summary>
    internal const string LoaderSignature = "MoEGeneralistTask";

    private const string ModelEntry = "Generalist";
    private const string TaskEntry = "task.json";
    private const uint Version = 0x00010001;

    private readonly IHost host;
    private readonly GeneralistTransformer generalist;

    internal GeneralistTaskTransformer(IHostEnvironment environment, GeneralistTransformer generalist, GeneralistTask task)
    {
        host = environment.Register(nameof(GeneralistTaskTransformer));
        (this.generalist, Task) = (generalist, task);
    }

    /// <summary>The task, with the names of its classes in the order of the keys.</summary>
    public GeneralistTask Task { get; }

    bool ITransformer.IsRowToRowMapper => true;

    /// <summary>The model of all tasks.</summary>
    internal GeneralistTransformer Generalist => generalist;

    private GeneralistScorer Scorer => generalist.Scorer;

    private GeneralistColumns Names => generalist.Columns;

    /// <summary>Adds the columns to a data view. Nothing is computed until rows are read.</summary>
    /// <exception cref="ArgumentException">A column that the task reads is missing or has another type.</exception>
    public IDataView Transform(IDataView input)
    {
        host.CheckValue(input, nameof(input));
        var binding = Bind(input.Schema);
        return new ScoringDataView(
            host,
            input,
            binding.Inputs,
            (rows, _) => Open(rows, binding),
            Scorer.Prediction.BatchSize,
            CreateMapper(input.Schema),
            CreateMapper);
    }

    /// <summary>The columns that <see cref="Transform"/> gives.</summary>
    /// <exception cref="ArgumentException">A column that the task reads is missing or has another type.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return RowToRowMapperTransform.GetOutputSchema(inputSchema, CreateMapper(inputSchema));
    }

    /// <summary>Measures how well tokens are predicted: the masked ones of texts, the next ones of texts or of descriptions.</summary>
    /// <param name="data">The columns that the task was trained on; every row counts, whatever a task column says. Which tokens are masked
    /// is the same each time.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ArgumentException">A column is missing or has another type.</exception>
    /// <exception cref="InvalidOperationException">The task predicts no tokens, or there is no usable row.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public TokenMetrics EvaluateTokens(IDataView data, CancellationToken cancellationToken = default)
    {
        Require(Task.Kind.PredictsTokens(), "predicts no tokens");
        return Measure(ReadAll(data, cancellationToken).Examples, cancellationToken);
    }

    /// <summary>
    /// Measures descriptions: BLEU of the model's own against all that a picture has in the data (rows with the same picture are one
    /// picture), and how well the given ones are predicted word by word.
    /// </summary>
    /// <param name="data">The columns that the task was trained on; every row counts, whatever a task column says.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ArgumentException">A column is missing or has another type.</exception>
    /// <exception cref="InvalidOperationException">The task describes nothing, or there is no usable row.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public CaptionMetrics EvaluateCaptions(IDataView data, CancellationToken cancellationToken = default)
    {
        Require(Task.Kind.IsCaption(), "describes no pictures");
        var (examples, texts, _, _) = ReadAll(data, cancellationToken);
        var pictures = examples.Zip(texts).GroupBy(pair => Convert.ToHexString(SHA256.HashData(pair.First.Picture!))).ToArray();
        string[] described = [.. pictures.Select(group => group.First().First).Chunk(Scorer.Prediction.BatchSize).SelectMany(chunk =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            return Scorer.Describe(Task, chunk);
        })];
        string[][] references = [.. pictures.Select(group => group.Select(pair => pair.Second).ToArray())];
        return new CaptionMetrics(
            pictures.Length, Bleu.Corpus(described, references, 1), Bleu.Corpus(described, references, 4),
            Measure(examples, cancellationToken));
    }

    /// <summary>
    /// Measures how often the right text is among the nearest to a picture, and the right picture among the nearest to a text, of all in
    /// the data. Rows with the same text are one text, so that a picture may have several and a text several pictures.
    /// </summary>
    /// <param name="data">The columns that the task was trained on; every row counts, whatever a task column says.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ArgumentException">A column is missing or has another type.</exception>
    /// <exception cref="InvalidOperationException">The task retrieves nothing, or there is no usable row.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public RetrievalMetrics EvaluateRetrieval(IDataView data, CancellationToken cancellationToken = default)
    {
        Require(Task.Kind.IsRetrieval(), "retrieves nothing");
        var (examples, texts, _, _) = ReadAll(data, cancellationToken);
        var pictureOf = Number(examples.Select(example => Convert.ToHexString(SHA256.HashData(example.Picture!))), out var firstPictures);
        var textOf = Number(texts, out var firstTexts);
        return RetrievalMetrics.Measure(
            Embed(firstPictures, chunk => Scorer.EmbedPictures(Task, chunk)),
            Embed(firstTexts, chunk => Scorer.EmbedTexts(Task, chunk)),
            [.. pictureOf.Zip(textOf)]);

        float[][] Embed(IEnumerable<int> rows, Func<GeneralistExample[], float[][]> embed) =>
            [
                .. rows.Select(row => examples[row])
                    .Chunk(Scorer.Prediction.BatchSize)
                    .SelectMany(chunk =>
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        return embed(chunk);
                    }),
            ];
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
        ModelEntries.Write(ctx, TaskEntry, JsonSerializer.SerializeToUtf8Bytes(Task, GeneralistDocument.Json));
        ctx.SaveModel(generalist, ModelEntry);
    }

    // ML.NET finds this by its signature when it loads a model zip.
    private static GeneralistTaskTransformer Create(IHostEnvironment environment, ModelLoadContext context)
    {
        Contracts.CheckValue(environment, nameof(environment));
        environment.CheckValue(context, nameof(context));
        context.CheckAtModel(GetVersion());
        try
        {
            var task = JsonSerializer.Deserialize<GeneralistTask>(
                ModelEntries.Read(context, TaskEntry, ModelEntries.ReadChecksum(context)), GeneralistDocument.Json);
            context.LoadModel<GeneralistTransformer, SignatureLoadModel>(environment, out var generalist, ModelEntry);
            return generalist.Open(task ?? throw new InvalidDataException("the task is empty."));
        }
        catch (Exception exception) when (exception is InvalidDataException or JsonException or ArgumentException)
        {
            throw environment.ExceptDecode($"The model '{context.Directory}' in this file cannot be loaded: {exception.Message}");
        }
    }

    // And this one where the transform of a single row was saved on its own.
    private static RowBlockMapper Create(IHostEnvironment environment, ModelLoadContext context, DataViewSchema inputSchema) =>
        Create(environment, context).CreateMapper(inputSchema);

    private static VersionInfo GetVersion() =>
        new(
            modelSignature: "MOEGTASK",
            verWrittenCur: Version,
            verReadableCur: Version,
            verWeCanReadBack: Version,
            loaderSignature: LoaderSignature,
            loaderAssemblyName: typeof(GeneralistTaskTransformer).Assembly.FullName);

    private void Require(bool holds, string otherwise)
    {
        if (!holds)
            throw new InvalidOperationException($"Task '{Task.Name}' is {Task.Kind}, which {otherwise}.");
    }

    private TokenMetrics Measure(IReadOnlyList<GeneralistExample> examples, CancellationToken cancellationToken)
    {
        var (result, tokens) = Scorer.Measure(Task, examples, cancellationToken);
        return new TokenMetrics(tokens, result.Metric, result.Loss);
    }

    /// <summary>
    /// The usable rows of a data view, and their texts: those with all that the task reads in training. A warning counts the rows whose
    /// picture is unreadable.
    /// </summary>
    /// <exception cref="InvalidOperationException">There is none, or one has a class that the task lacks.</exception>
    internal TaskRows ReadAll(IDataView data, CancellationToken cancellationToken)
    {
        host.CheckValue(data, nameof(data));
        var binding = Bind(data.Schema, training: true);
        var (examples, texts, unused, encoder) = (new List<GeneralistExample>(), new List<string>(), 0L, Scorer.Texts.Recount());
        using var cursor = data.GetRowCursor([.. binding.Inputs.Select(name => data.Schema[name])]);
        var reader = OpenReader(cursor, binding);
        var labelOf = Task.Kind.IsClassification() ? GeneralistRowReader.TextOf(cursor, Names.Label) : null;
        while (cursor.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            host.CheckAlive();
            var (picture, text) = (
                binding.Pictures is null ? null : reader.ReadPicture(Task), binding.Text is null ? null : reader.ReadText());
            var (second, label) = (binding.SecondText is null ? null : reader.ReadSecondText(), labelOf?.Invoke());
            if ((binding.Pictures is not null && picture is null) || text?.Length == 0 || second?.Length == 0 || label?.Length == 0)
            {
                unused++;
                continue;
            }
            var ids = text is null ? null : second is null ? encoder.Encode(Task, text) : encoder.Encode(text, second);
            examples.Add(new GeneralistExample(picture, ids, label is null ? 0 : NumberOf(label)));
            texts.Add(text ?? "");
        }
        var notes = new List<string>();
        if (unused > 0)
        {
            var reasons = binding.Pictures is null ? null : reader.PicturesOf(Task).Unreadable;
            notes.Add(
                $"{unused:n0} are left out, because what the task asks for is missing or cannot be read"
                    + (reasons is { Count: > 0 } ? $" ({reasons})" : ""));
        }
        if (encoder.Cut > 0)
            notes.Add(
                $"{encoder.Cut:n0} have texts of more tokens than the model's {nameof(GeneralistConfig.TextLength)} allows, which were "
                    + "cut off");
        if (notes.Count > 0)
        {
            using var channel = host.Start("Read");
            channel.Warning(MessageSensitivity.None, $"Of the rows of task '{Task.Name}' {string.Join("; ", notes)}.");
        }
        return examples.Count > 0
            ? new(examples, texts, unused, encoder.Cut)
            : throw new InvalidOperationException(
                $"Task '{Task.Name}' has no usable row in the data: at least one with [{string.Join(", ", binding.Inputs)}] is wanted.");
    }

    private int NumberOf(string label) =>
        Task.ClassNames!.Index().FirstOrDefault(pair => pair.Item == label, (Index: -1, Item: "")).Index is >= 0 and var number
            ? number
            : throw new InvalidOperationException(
                $"A row of task '{Task.Name}' has '{label}' in column '{Names.Label}'; the classes are "
                    + $"[{string.Join(", ", Task.ClassNames!)}].");

    private static int[] Number(IEnumerable<string> keys, out List<int> first)
    {
        var (numbers, firsts) = (new Dictionary<string, int>(), new List<int>());
        int[] all = [.. keys.Select((key, row) =>
        {
            if (numbers.TryAdd(key, firsts.Count))
                firsts.Add(row);
            return numbers[key];
        })];
        first = firsts;
        return all;
    }

    // Blocks for rows or cursors that are read together.
    private IRowBlock[] Open(DataViewRow[] rows, Binding binding)
    {
        var readers = Array.ConvertAll(rows, row => OpenReader(row, binding));
        var unscored = binding.Pictures is { } pictures
            ? new UnscoredRows(host, pictures.Name, Unscored, [.. readers.Select(reader => reader.PicturesOf(Task))])
            : null;
        return Array.ConvertAll(readers, IRowBlock (reader) =>
            new GeneralistRowBlock(
                Scorer, Task, binding.Columns, reader, (binding.Pictures is not null, binding.Text is not null), unscored));
    }

    // What rows without a picture get.
    private string Unscored => Task.Kind switch
    {
        _ when Task.Kind.IsClassification() => UnscoredRows.NoClass,
        _ when Task.Kind.IsRetrieval() => "the representation of their picture is NaN",
        _ => "their text is empty",
    };

    private GeneralistRowReader OpenReader(DataViewRow row, Binding binding)
    {
        var ofVideos = Task.Kind.InputModality() == TokenModality.Video;
        return new(row, ofVideos ? null : binding.Pictures, ofVideos ? binding.Pictures : null, binding.Text, binding.SecondText);
    }

    private RowBlockMapper CreateMapper(DataViewSchema schema)
    {
        var binding = Bind(schema);
        return new RowBlockMapper(this, OutputColumns(schema, binding), [.. binding.Inputs.Select(name => schema[name])], (row, _) =>
            Open([row], binding)[0]);
    }

    private DataViewSchema.DetachedColumn[] OutputColumns(DataViewSchema schema, Binding binding)
    {
        var width = generalist.Model.Config.Block.Width;
        if (Task.Kind.IsClassification())
        {
            var values = new TextLabelValues([.. Task.ClassNames!.Select(name => name.AsMemory())]);
            return new ClassificationColumns(Names.PredictedLabel, Names.Score, Names.Embedding, values.Count, width, values).For(schema);
        }
        return
        [
            .. binding.Columns.Select(column =>
                column switch
                {
                    GeneralistColumn.PictureEmbedding => new DataViewSchema.DetachedColumn(
                        Names.PictureEmbedding, new VectorDataViewType(NumberDataViewType.Single, width)),
                    GeneralistColumn.TextEmbedding => new DataViewSchema.DetachedColumn(
                        Names.TextEmbedding, new VectorDataViewType(NumberDataViewType.Single, width)),
                    _ => new DataViewSchema.DetachedColumn(Names.PredictedText, TextDataViewType.Instance),
                }),
        ];
    }

    // What the task reads of a schema, and what it adds. Retrieval takes pictures, texts or both; in training, as here for measuring, it
    // has both, and captions have texts too.
    private Binding Bind(DataViewSchema schema, bool training = false)
    {
        var ofText = Task.Kind.InputModality() == TokenModality.Text;
        var pictures = Scorer.Inputs.Of(Task)?.Column;
        var (readPictures, readText) = (!ofText, ofText || (training && Task.Kind.IsCaption()));
        if (Task.Kind.IsRetrieval())
        {
            (readPictures, readText) = (
                training || schema.GetColumnOrNull(pictures!.Name) is not null, training || schema.GetColumnOrNull(Names.Text) is not null);
            if (!readPictures && !readText)
                throw host.ExceptSchemaMismatch(nameof(schema), "picture", $"{pictures!.Name}' or '{Names.Text}");
        }
        var second = Task.Kind == GeneralistTaskKind.TextPairClassification ? Names.SecondText : null;
        var text = readText ? Names.Text : null;
        var label = training && Task.Kind.IsClassification() ? Names.Label : null;
        foreach (var name in new[] { text, second, label }.OfType<string>())
            GeneralistTrainer.RequireText(host, schema, name);
        pictures = readPictures ? pictures!.FindIn(host, schema) : null;

        GeneralistColumn[] columns = Task.Kind switch
        {
            _ when Task.Kind.IsClassification() => [GeneralistColumn.PredictedLabel, GeneralistColumn.Score, GeneralistColumn.Embedding],
            _ when Task.Kind.IsRetrieval() =>
            [
                .. readPictures ? [GeneralistColumn.PictureEmbedding] : Array.Empty<GeneralistColumn>(),
                .. readText ? [GeneralistColumn.TextEmbedding] : Array.Empty<GeneralistColumn>(),
            ],
            _ => [GeneralistColumn.PredictedText],
        };
        return new Binding(pictures, text, second, label, columns);
    }

    /// <summary>The columns that a task reads and adds.</summary>
    private sealed record Binding(
        PictureColumn? Pictures, string? Text, string? SecondText, string? Label, IReadOnlyList<GeneralistColumn> Columns)
    {
        public IReadOnlyList<string> Inputs { get; } = [.. new[] { Pictures?.Name, Text, SecondText, Label }.OfType<string>()];
    }
}
