using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Checks the columns, reads the texts, trains a classifier, and hands out a transformer.</summary>
internal sealed class TextClassificationTrainer
{
    private const int SplitStream = -1;   // no epoch's

    private readonly IHost host;
    private readonly WideNetTextClassifier.Options options;
    private readonly IReadOnlyList<ChosenOption> chosen;

    public TextClassificationTrainer(IHostEnvironment environment, string name, WideNetTextClassifier.Options options)
    {
        options.Validate();
        host = environment.Register(name);
        this.options = options.Copy();
        chosen = this.options.Settle();
    }

    /// <summary>The columns after the estimator, from the columns before it.</summary>
    public SchemaShape GetOutputSchema(SchemaShape input)
    {
        host.CheckValue(input, nameof(input));
        foreach (var name in TextColumns)
        {
            if (!input.TryFindColumn(name, out var text))
                throw host.ExceptSchemaMismatch(nameof(input), "text", name);
            if (text.Kind != SchemaShape.Column.VectorKind.Scalar || text.ItemType != TextDataViewType.Instance)
                throw host.ExceptSchemaMismatch(
                    nameof(input), "text", name, TextDataViewType.Instance.ToString(), text.GetTypeString());
        }
        if (!input.TryFindColumn(options.LabelColumnName, out var label))
            throw host.ExceptSchemaMismatch(nameof(input), "label", options.LabelColumnName);
        if (!label.IsKey || label.Kind != SchemaShape.Column.VectorKind.Scalar || label.ItemType != NumberDataViewType.UInt32)
            throw host.ExceptSchemaMismatch(nameof(input), "label", options.LabelColumnName, LabelColumn.Expected, label.GetTypeString());
        var columns = input.ToDictionary(column => column.Name);
        foreach (var column in ClassificationColumns.Shapes(
                options.PredictedLabelColumnName, options.ScoreColumnName, options.EmbeddingColumnName, label))
            columns[column.Name] = column;
        return new SchemaShape(columns.Values);
    }

    /// <summary>Trains.</summary>
    public TextClassificationTransformer Fit(IDataView trainData, IDataView? validation)
    {
        host.CheckValue(trainData, nameof(trainData));
        LabelColumn.RequireSome(trainData, options.LabelColumnName);
        var labels = FindColumns(trainData);
        if (validation is not null)
            RequireSameClasses(FindColumns(validation), labels);
        using var session = new TrainingSession(host, options, validates: validation is not null, "texts");
        var tokenizer = CreateTokenizer(session, trainData);
        var config = options.CreateConfig(tokenizer.Size);
        tokenizer.RequireKnownBy(config);
        var maxTokens = options.MaxTokens ?? config.MaxTokens;
        TextPairReader Open(DataViewRow row) => new(row, (options.TextColumnName, options.SecondTextColumnName), tokenizer, maxTokens);

        var training = TextData.Read(session, trainData, labels, Open, "training");
        if (training.Examples.Select(example => example.Label).Distinct().Count() == 1)
            throw new InvalidOperationException(
                $"All {training.Examples.Count:n0} usable rows of the training data have the same label "
                    + $"({labels.Describe(training.Examples[0].Label)} of column '{labels.Name}'); a classifier needs examples of at least "
                    + "2.");
        var held = validation is null ? null : TextData.Read(session, validation, labels, Open, "validation");
        var (examples, validated) = held is not null ? (training.Examples, held.Examples)
            : options.ValidationFraction > 0
                ? training.Split(options.ValidationFraction, SeededRandom.Create(session.Seed, SplitStream))
            : (training.Examples, null);
        var computeType = config.ComputeType(options.Precision, session.Device);
        return session.With(
            () => new TextClassifier(config, labels.ClassCount, session.Device, computeType),
            model =>
            {
                Announce(session, model, (examples.Count, validated?.Count ?? 0), computeType);
                options.PretrainedWeights?.CopyTo(model.Encoder, options.ExpertNoise);
                options.StartingPoint?.CopyTo(model, labels, options, session.Channel);
                session.Identify(Describe(config, labels.ClassCount), () =>
                    [
                        new("ComputeType", computeType.ToString()),
                        new("InitialWeights", IsNew ? "none" : ContinuedTraining.HashOfWeights(model)),
                        .. training.Fingerprint("training"),
                        .. held?.Fingerprint("validation") ?? [],
                    ]);
                var result = Train(session, model, examples, validated);
                return Finish(session, model, tokenizer, labels, new TextClassificationSummary(
                    result, examples.Count, validated?.Count ?? 0, training.MissingLabels + (held?.MissingLabels ?? 0),
                    training.EmptyTexts + (held?.EmptyTexts ?? 0), training.CutTexts + (held?.CutTexts ?? 0), session.Seed)
                {
                    Options = options.Describe(),
                    Chosen = AllChosen,
                });
            });
    }

    private IReadOnlyList<ChosenOption> AllChosen =>
        options.Architecture is null && IsNew
            ? [.. chosen, new(nameof(options.Architecture), "WideNet", "a size that trains on a CPU in minutes")]
            : chosen;

    private bool IsNew => options.PretrainedWeights is null && options.InitialModel is null;

    private IEnumerable<string> TextColumns =>
        options.SecondTextColumnName is { } second ? [options.TextColumnName, second] : [options.TextColumnName];

    private TrainingResult Train(
        TrainingSession session, TextClassifier model, IReadOnlyList<TextExample> examples, IReadOnlyList<TextExample>? validated)
    {
        using var freezing = new FreezeScope(model, name => (TextClassifier.PartOf(name) & options.Frozen) != 0);
        var objective = new TextClassificationObjective(model, options.LabelSmoothing!.Value);
        var validation = validated is null
            ? null
            : session.InBackground(new TextBatches(validated, options.PredictionBatchSize, seed: null, session.Device));
        return session.Run(
            model,
            objective.ComputeLoss,
            new TextBatches(examples, options.BatchSize!.Value, session.Seed, session.Device),
            validation is null ? null : token => objective.Evaluate(session.Watch(validation.ReadEpoch(0, token)), token));
    }

    private TextClassificationTransformer Finish(
        TrainingSession session, TextClassifier model, WordPieceTokenizer tokenizer, LabelColumn labels, TextClassificationSummary summary)
    {
        var config = model.Encoder.Config;
        var document = new TextClassifierDocument
        {
            TextColumn = options.TextColumnName,
            SecondTextColumn = options.SecondTextColumnName,
            LabelColumn = options.LabelColumnName,
            ScoreColumn = options.ScoreColumnName,
            PredictedLabelColumn = options.PredictedLabelColumnName,
            EmbeddingColumn = options.EmbeddingColumnName,
            MaxTokens = options.MaxTokens ?? config.MaxTokens,
            Precision = options.Precision,
            PredictionBatchSize = options.PredictionBatchSize,
            ClassCount = labels.ClassCount,
            Labels = labels.Values?.ToJson(),
            Encoder = config,
        };
        return new(host, new(model, tokenizer, session.Device), document, labels.Values, summary);
    }

    private void Announce(TrainingSession session, TextClassifier model, (int Training, int Validation) texts, torch.ScalarType computeType)
    {
        var parameters = TextClassifier.CountParameters(model.Encoder.Config, model.ClassCount);
        session.Channel.Say(
            string.Create(
                CultureInfo.InvariantCulture,
                $"Training a model of {parameters:n0} parameters on {texts.Training:n0} texts in {model.ClassCount} classes, validating on "
                    + $"{texts.Validation:n0}; {session.Length}; {session.Device}, {computeType}."));
        session.SayChosen(AllChosen);
    }

    private WordPieceTokenizer CreateTokenizer(TrainingSession session, IDataView trainData)
    {
        if (options.StartingPoint is { } start)
            return start.Tokenizer;
        if (options.PretrainedWeights is not { } weights)
        {
            var texts = TextColumns.SelectMany(name => Texts(trainData, trainData.Schema[name]));
            return new(WordPieceVocabulary.Learn(session.Watch(texts), options.VocabularySize, options.CancellationToken));
        }
        return WordPieceTokenizer.FromFolder(weights.Folder);
    }

    private static IEnumerable<string> Texts(IDataView data, DataViewSchema.Column column)
    {
        using var cursor = data.GetRowCursor([column]);
        var getter = cursor.GetGetter<ReadOnlyMemory<char>>(column);
        ReadOnlyMemory<char> text = default;
        while (cursor.MoveNext())
        {
            getter(ref text);
            yield return text.ToString();
        }
    }

    private LabelColumn FindColumns(IDataView data)
    {
        foreach (var name in TextColumns)
            _ = TextClassificationTransformer.FindText(host, data.Schema, name);
        return LabelColumn.Find(host, data.Schema, options.LabelColumnName);
    }

    private static void RequireSameClasses(LabelColumn validation, LabelColumn training)
    {
        if (validation.ClassCount != training.ClassCount || !validation.Names.SequenceEqual(training.Names))
            throw new ArgumentException(
                $"Column '{training.Name}' has the classes [{string.Join(", ", validation.Names.Take(10))}] in the validation data and "
                    + $"[{string.Join(", ", training.Names.Take(10))}] in the training data; use the same key mapping for both.");
    }

    private static string Describe(TextEncoderConfig config, int classes)
    {
        var json = JsonNode.Parse(TextClassifierDocument.ToJson(config))!.AsObject();
        json["ClassCount"] = classes;
        return json.ToJsonString();
    }
}
