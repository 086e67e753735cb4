using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads the rows of all tasks, trains a model, and hands out a transformer.</summary>
internal sealed class GeneralistTrainer(IHost host, UniPerceiverGeneralist.Options options, IReadOnlyList<ChosenOption> chosen)
{
    private const int SplitStream = -1;   // of the seed's random sequences; epochs take those from 0 up

    private bool HasImages => options.Tasks.Any(task => task.Kind.InputModality() == TokenModality.Image);

    private bool HasVideos => options.Tasks.Any(task => task.Kind.InputModality() == TokenModality.Video);

    private bool HasClasses => options.Tasks.Any(task => task.Kind.IsClassification());

    private string? TextName => options.Tasks.Any(ReadsText) ? options.TextColumnName : null;

    private string? SecondTextName => options.Tasks.Any(ReadsPair) ? options.SecondTextColumnName : null;

    // All columns that must hold texts.
    private string[] TextColumns =>
        [.. new[] { options.TaskColumnName, HasClasses ? options.LabelColumnName : null, TextName, SecondTextName }.OfType<string>()];

    // What the options say of a frame.
    private ImageShape? FrameShape =>
        options is { Channels: { } channels, ImageHeight: { } height, ImageWidth: { } width } ? new(channels, height, width) : null;

    /// <summary>Trains.</summary>
    public GeneralistTransformer Fit(IDataView data, IDataView? validation)
    {
        host.CheckValue(data, nameof(data));
        var (images, videos) = FindPictures(data.Schema);
        var start = options.StartingPoint;
        start?.RequireAlive();

        using var session = new TrainingSession(host, options, validates: validation is not null, "examples");
        var channel = session.Channel;
        var rows = Read(channel, data, images, videos, "training");
        // A class may be apart as a whole.
        var tasks = options.Tasks.Select(task => WithClassNames(task, rows.ByTask[task.Name])).ToArray();
        var held = validation is null
            ? rows.SetApart(options.ValidationFraction, SeededRandom.Create(session.Seed, SplitStream))
            : Read(channel, validation, images?.FindIn(host, validation.Schema), videos?.FindIn(host, validation.Schema), "validation");
        var tokenizer = start?.Tokenizer
            ?? options.Tokenizer.Create(
                tasks.SelectMany(task =>
                    (task.ClassNames ?? [])
                        .Concat(rows.ByTask[task.Name].SelectMany(row => new[] { row.Text, row.SecondText }))
                        .OfType<string>()),
                options.CancellationToken);
        var texts = new GeneralistTexts(tokenizer, options.UsedArchitecture.TextLength);
        foreach (var task in tasks)
            texts.RequireDistinctClasses(task);
        var sets = Array.ConvertAll(tasks, task => Encode(texts, task, rows.ByTask[task.Name]));
        var heldSets = held is null ? null : Array.ConvertAll(tasks, task => Encode(texts, task, held.ByTask[task.Name]));
        if (texts.Cut > 0)
            channel.Warning(
                MessageSensitivity.None,
                $"{texts.Cut:n0} texts have more tokens than {nameof(GeneralistConfig.TextLength)} {options.UsedArchitecture.TextLength} "
                    + "allows and were cut off.");
        var heldExamples = (heldSets ?? []).SelectMany(set => set.Examples);
        if (tokenizer.UnknownId is { } unknown
            && heldExamples.Sum(example => (long)(example.Text ?? []).Count(token => token == unknown)) is > 0 and var strange)
        {
            channel.Warning(
                MessageSensitivity.None,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{strange:n0} tokens of the validation data are characters that the training data lack; they are read as unknown."));
        }
        var (imagePixels, videoPixels) = (Measure(images, TokenModality.Image, rows), Measure(videos, TokenModality.Video, rows));
        var inputs = start is null
            ? new GeneralistInputs(images is null ? null : new(images, imagePixels!), videos is null ? null : new(videos, videoPixels!))
            : new GeneralistInputs(
                GeneralistStartingPoint.Continue(images, imagePixels, start.Inputs.Images, options.ImageColumnName, channel),
                GeneralistStartingPoint.Continue(videos, videoPixels, start.Inputs.Videos, options.VideoColumnName, channel));
        var config = options.CreateConfig(tokenizer.VocabularySize, (images ?? videos)?.Frame.Shape, videos?.Frames ?? 1);

        return session.With(
            () => config.Build(session.Device),
            model =>
            {
                model.RequireRoles([.. tasks.SelectMany(task => task.Roles)]);
                channel.Say(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"Training a model of {config.GetCost().Parameters:n0} parameters on "
                            + $"{string.Join(", ", sets.Select(set => $"{set.Examples.Count} examples of task '{set.Task.Name}'"))}; "
                            + $"{tokenizer.VocabularySize:n0} tokens in the vocabulary; {session.Length}; {session.Device}."));
                ChosenOption[] allChosen = [.. chosen, .. options.ChosenOfTheModel(config)];
                session.SayChosen(allChosen);
                start?.CopyTo(model, channel);
                session.Identify(config.ToJson(), () => Facts(tokenizer, sets, heldSets, start is null ? null : model));
                var objective = new GeneralistObjective(
                    model, options.LabelSmoothing!.Value, options.BalanceLossWeight ?? GeneralistObjective.UsualBalanceLossWeight);
                var validationBatches = heldSets is null ? null : Batches(heldSets);
                var result = session.Run(
                    model,
                    objective.ComputeLoss,
                    Batches(sets),
                    validationBatches is null ? null : token => objective.Evaluate(session.Watch(validationBatches.InOrder(token)), token));
                var summary = new GeneralistSummary(
                    result, sets.ToDictionary(set => set.Task.Name, set => set.Examples.Count), rows.Unused, texts.Cut, session.Seed)
                {
                    Earlier = start?.Trainings ?? [],
                    Options = options.Describe(),
                    Chosen = allChosen,
                };
                return new GeneralistTransformer(
                    host, new GeneralistScorer(model, tokenizer, inputs, options.CreatePrediction(), session.Device), tasks,
                    options.CreateColumns(), summary);
            });

        GeneralistBatches Batches(GeneralistTaskExamples[] examples) =>
            new(examples, inputs, options.BatchSize!.Value, options.MaskedFraction, session.Seed, session.Device);
    }

    /// <summary>The columns after the estimator, from the columns before it.</summary>
    /// <exception cref="ArgumentException">A column that a task reads is missing or has another type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape input)
    {
        host.CheckValue(input, nameof(input));
        foreach (var name in TextColumns)
            Require(
                name,
                "text",
                column => column.Kind == SchemaShape.Column.VectorKind.Scalar && column.ItemType == TextDataViewType.Instance,
                TextDataViewType.Instance.ToString());
        if (HasImages)
            ImageColumn.Check(host, input, WantedImages);
        if (HasVideos)
        {
            Require(options.VideoColumnName, "video", PictureColumn.CanBeVideos, PictureColumn.ExpectedVideo);
            if (input.TryFindColumn(options.VideoColumnName, out var videos)
                && videos.ItemType == TextDataViewType.Instance
                && !HasImages
                && FrameShape is null)
                throw PictureColumn.NoFrameShape(options.VideoColumnName);
        }
        return input;

        void Require(string name, string role, Func<SchemaShape.Column, bool> fits, string expected)
        {
            if (!input.TryFindColumn(name, out var column))
                throw host.ExceptSchemaMismatch(nameof(input), role, name);
            if (!fits(column))
                throw host.ExceptSchemaMismatch(nameof(input), role, name, expected, column.GetTypeString());
        }
    }

    private WantedImages WantedImages =>
        new(options.ImageColumnName, options.Channels, options.ImageHeight, options.ImageWidth, options.Resizing);

    /// <summary>Checks that a column of texts is there.</summary>
    /// <exception cref="ArgumentException">It is missing or has another type.</exception>
    public static void RequireText(IExceptionContext context, DataViewSchema schema, string name)
    {
        var column = schema.GetColumnOrNull(name) ?? throw context.ExceptSchemaMismatch(nameof(schema), "text", name);
        if (column.Type != TextDataViewType.Instance)
            throw context.ExceptSchemaMismatch(nameof(schema), "text", name, TextDataViewType.Instance.ToString(), column.Type.ToString());
    }

    // What a training that is continued must have as it was, besides its options and the model's configuration.
    private IEnumerable<KeyValuePair<string, string>> Facts(
        TextTokenizer tokenizer,
        GeneralistTaskExamples[] sets,
        GeneralistTaskExamples[]? held,
        Generalist? initial) =>
        [
            new(nameof(options.Tokenizer), tokenizer.Kind.ToString()),
            new(nameof(options.InitialModel), initial is null ? "none" : ContinuedTraining.HashOfWeights(initial)),
            new(nameof(options.Tasks), GeneralistFingerprint.Describe(sets.Select(set => set.Task))),
            .. sets.SelectMany(set => GeneralistFingerprint.Describe(set, "training")),
            .. (held ?? []).SelectMany(set => GeneralistFingerprint.Describe(set, "validation")),
        ];

    private (PictureColumn? Images, PictureColumn? Videos) FindPictures(DataViewSchema schema)
    {
        var images = HasImages ? PictureColumn.FindImages(host, schema, WantedImages) : null;
        if (!HasVideos)
            return (images, null);
        if (options.StartingPoint is not { } start)
            return (
                images,
                PictureColumn.FindVideos(
                    host, schema, options.VideoColumnName, options.Frames, images?.Frame.Shape ?? FrameShape, options.Resizing));
        var videos = PictureColumn.FindVideos(
            host, schema, options.VideoColumnName, options.Frames, FrameShape, options.Resizing, usual: start.Config.Frames);
        return videos.Frames <= start.Config.Frames
            ? (images, videos)
            : throw new ArgumentException(
                $"Column '{videos.Name}' has videos of {videos.Frames} frames; {nameof(options.InitialModel)} takes at most "
                    + $"{start.Config.Frames}.");
    }

    // Over the rows that are trained on alone.
    private PixelNormalization? Measure(PictureColumn? column, TokenModality modality, Rows rows)
    {
        if (column is null)
            return null;
        var (statistics, bytes) = (new PixelStatistics(column.Frame), column.Frame.ByteCount);
        foreach (var row in options.Tasks.Where(task => task.Kind.InputModality() == modality).SelectMany(task => rows.ByTask[task.Name]))
        {
            for (var start = 0; start < row.Picture!.Length; start += bytes)
                statistics.Add(row.Picture.AsSpan(start, bytes));
        }
        return statistics.ToNormalization();
    }

    private Rows Read(IChannel channel, IDataView data, PictureColumn? images, PictureColumn? videos, string what)
    {
        var tasks = options.Tasks.ToDictionary(task => task.Name);
        var rows = new Rows(tasks.Keys.ToDictionary(name => name, _ => new List<Row>()));
        foreach (var name in TextColumns)
            RequireText(host, data.Schema, name);
        using var cursor = data.GetRowCursor([
            .. TextColumns.Concat(new[] { images?.Name, videos?.Name }.OfType<string>()).Select(name => data.Schema[name]),
        ]);
        var taskOf = GeneralistRowReader.TextOf(cursor, options.TaskColumnName);
        var labelOf = HasClasses ? GeneralistRowReader.TextOf(cursor, options.LabelColumnName) : null;
        var reader = new GeneralistRowReader(cursor, images, videos, TextName, SecondTextName);
        var (missingLabels, missingTexts) = (0L, 0L);
        while (cursor.MoveNext())
        {
            options.CancellationToken.ThrowIfCancellationRequested();
            host.CheckAlive();
            var name = taskOf();
            if (!tasks.TryGetValue(name, out var task))
                throw new InvalidOperationException(
                    $"A row of the {what} data has '{name}' in column '{options.TaskColumnName}'; the declared tasks are "
                        + $"[{string.Join(", ", tasks.Keys)}].");
            var label = task.Kind.IsClassification() ? labelOf!() : null;
            var text = ReadsText(task) ? reader.ReadText() : null;
            var second = ReadsPair(task) ? reader.ReadSecondText() : null;
            if (label?.Length == 0)
                missingLabels++;
            else if (text?.Length == 0 || second?.Length == 0)
                missingTexts++;
            else if (task.Kind.InputModality() == TokenModality.Text)
                rows.ByTask[name].Add(new Row(null, text, second, label));
            else if (reader.ReadPicture(task) is { } picture)
                rows.ByTask[name].Add(new Row(picture, text, null, label));
        }

        var unreadable = new[] { reader.Images?.Unreadable, reader.Videos?.Unreadable }
            .OfType<UnreadableImages>()
            .Where(all => all.Count > 0)
            .ToArray();
        rows.Unused = missingLabels + missingTexts + unreadable.Sum(all => all.Count);
        if (rows.Unused > 0)
        {
            channel.Warning(
                MessageSensitivity.None,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Of the {what} data {rows.Unused:n0} rows are left out: {missingLabels:n0} without a label in column "
                        + $"'{options.LabelColumnName}', {missingTexts:n0} without a text that their task reads"
                        + $"{string.Concat(unreadable.Select(all => $", {all}"))}."));
        }
        return rows.ByTask.FirstOrDefault(pair => pair.Value.Count == 0) is { Key: { } none }
            ? throw new InvalidOperationException(
                $"Task '{none}' has no usable row in the {what} data: at least one is wanted for every declared task.")
            : rows;
    }

    private GeneralistTaskExamples Encode(GeneralistTexts texts, GeneralistTask task, List<Row> rows)
    {
        var labels = (task.ClassNames ?? []).Index().ToDictionary(pair => pair.Item, pair => pair.Index);
        var examples = rows.Select(row =>
            {
                var label = 0;
                if (row.Label is not null && !labels.TryGetValue(row.Label, out label))
                    throw new InvalidOperationException(
                        $"A row of task '{task.Name}' has '{row.Label}' in column '{options.LabelColumnName}'; the classes are "
                            + $"[{string.Join(", ", task.ClassNames!)}].");
                var text = (row.Text, row.SecondText) switch
                {
                    (null, _) => null,
                    ({ } one, null) => texts.Encode(task, one),
                    ({ } one, { } other) => texts.Encode(one, other),
                };
                return new GeneralistExample(row.Picture, text, label);
            })
            .ToList();
        return new(task, texts.CandidatesOf(task), examples);
    }

    private static GeneralistTask WithClassNames(GeneralistTask task, List<Row> rows)
    {
        if (task.ClassNames is not null || !task.Kind.IsClassification())
            return task;
        string[] names = [.. rows.Select(row => row.Label!).Distinct()];
        return names.Length >= 2
            ? task with { ClassNames = names }
            : throw new InvalidOperationException(
                $"All rows of task '{task.Name}' are of the class '{names[0]}'; a classifier needs examples of at least 2.");
    }

    private static bool ReadsText(GeneralistTask task) => task.Kind.InputModality() == TokenModality.Text || !task.Kind.IsClassification();

    private static bool ReadsPair(GeneralistTask task) => task.Kind == GeneralistTaskKind.TextPairClassification;

    /// <summary>A usable row as it was read.</summary>
    private sealed record Row(byte[]? Picture, string? Text, string? SecondText, string? Label);

    /// <summary>The usable rows of all tasks.</summary>
    private sealed record Rows(Dictionary<string, List<Row>> ByTask)
    {
        public long Unused { get; set; }

        /// <summary>Takes a part of every task's rows out, at least one of each; null where the part is 0.</summary>
        /// <exception cref="InvalidOperationException">Nothing is left of a task.</exception>
        public Rows? SetApart(double fraction, Random random)
        {
            if (fraction == 0)
                return null;
            var apart = new Rows(ByTask.Keys.ToDictionary(name => name, _ => new List<Row>()));
            foreach (var (name, rows) in ByTask)
            {
                var count = Math.Max(1, (int)Math.Round(rows.Count * fraction));
                if (count >= rows.Count)
                {
                    throw new InvalidOperationException(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"{nameof(options.ValidationFraction)} is {fraction}, which leaves nothing of the {rows.Count:n0} rows of "
                                + $"task '{name}' to train on."));
                }
                var chosen = Enumerable.Range(0, rows.Count).ToArray();
                random.Shuffle(chosen);
                var held = chosen[..count].ToHashSet();
                apart.ByTask[name].AddRange(rows.Where((_, row) => held.Contains(row)));
                ByTask[name] = [.. rows.Where((_, row) => !held.Contains(row))];
            }
            return apart;
        }
    }
}
