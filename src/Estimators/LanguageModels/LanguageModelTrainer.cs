using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Checks the column, reads the texts, trains a language model, and hands out a transformer.</summary>
internal sealed class LanguageModelTrainer
{
    private readonly IHost host;
    private readonly PeerLanguageModel.Options options;
    private readonly IReadOnlyList<ChosenOption> chosen;
    private readonly LanguageModelColumns columns;

    public LanguageModelTrainer(IHostEnvironment environment, string name, PeerLanguageModel.Options options)
    {
        options.Validate();
        host = environment.Register(name);
        this.options = options.Copy();
        chosen = this.options.Settle();
        columns = this.options.CreateColumns();
    }

    /// <summary>The columns after the estimator, from the columns before it.</summary>
    public SchemaShape GetOutputSchema(SchemaShape input)
    {
        host.CheckValue(input, nameof(input));
        if (!input.TryFindColumn(columns.Text, out var text))
            throw host.ExceptSchemaMismatch(nameof(input), "text", columns.Text);
        if (text.Kind != SchemaShape.Column.VectorKind.Scalar || text.ItemType != TextDataViewType.Instance)
            throw host.ExceptSchemaMismatch(
                nameof(input), "text", columns.Text, TextDataViewType.Instance.ToString(), text.GetTypeString());

        var shapes = input.ToDictionary(column => column.Name);
        foreach (var column in columns.ToShapes())
            shapes[column.Name] = column;
        return new SchemaShape(shapes.Values);
    }

    /// <summary>Trains.</summary>
    public LanguageModelTransformer Fit(IDataView trainData, IDataView? validation)
    {
        host.CheckValue(trainData, nameof(trainData));
        var text = columns.FindText(host, trainData.Schema);
        var validationText = validation is null ? (DataViewSchema.Column?)null : columns.FindText(host, validation.Schema);

        using var session = new TrainingSession(host, options, validates: validation is not null, "tokens");
        var texts = TextRows.Read(host, trainData, text, options.CancellationToken).ToArray();
        var (tokenizer, data) = Encode(
            session.Channel,
            texts,
            validation is null ? null : TextRows.Read(host, validation, validationText!.Value, options.CancellationToken));
        var config = options.CreateConfig(tokenizer.VocabularySize);
        var computeType = config.ComputeType(options.Precision, session.Device);
        Announce(session, config, data, computeType);
        IReadOnlyList<ChosenOption> allChosen = options.Architecture is null
            ? [.. chosen, new(nameof(options.Architecture), nameof(LanguageModel), "a size that trains on a CPU in minutes")]
            : chosen;
        session.SayChosen(allChosen);
        return session.With(
            () => config.Build(session.Device, computeType),
            model =>
            {
                session.Identify(config.ToJson(), () => Facts(computeType, tokenizer, data));
                var result = Train(session, model, tokenizer, data);
                var summary = new LanguageModelSummary(
                    result, data.Training.Count, data.TrainingTokens, data.ValidationTokens, data.EmptyTexts, session.Seed)
                {
                    Options = options.Describe(),
                    Chosen = allChosen,
                };
                return new LanguageModelTransformer(
                    host, new LanguageModelScorer(model, tokenizer, options.PredictionBatchSize), columns, options.Continuation,
                    new(options.Precision, options.PredictionBatchSize), summary);
            });
    }

    private TrainingResult Train(TrainingSession session, LanguageModel model, TextTokenizer tokenizer, FitData data)
    {
        var objective = new LanguageModelObjective(model);
        return session.Run(
            model,
            objective.ComputeLoss,
            new TokenWindows(
                TokenWindows.Join(data.Training, tokenizer.SeparatorId), model.Config.ContextLength, options.BatchSize!.Value,
                session.Seed, session.Device),
            data.Validation is { } documents
                ? token => objective.Evaluate(documents, tokenizer.SeparatorId, options.PredictionBatchSize, token)
                : null);
    }

    // What a training that is continued must have as it was, besides its options and the model's configuration.
    private IEnumerable<KeyValuePair<string, string>> Facts(torch.ScalarType computeType, TextTokenizer tokenizer, FitData data) =>
    [
        new(nameof(options.Tokenizer), tokenizer.Kind.ToString()),
        new("ComputeType", computeType.ToString()),
        .. TokenFingerprint.Describe(data.Training, "training"),
        .. TokenFingerprint.Describe(data.Validation ?? [], "validation"),
    ];

    private (TextTokenizer Tokenizer, FitData Data) Encode(IChannel channel, string[] texts, IEnumerable<string>? validationTexts)
    {
        // Tokens can only be cut off where the vocabulary is there before.
        var heldTexts = validationTexts;
        IReadOnlyList<string> trainingTexts = texts;
        if (validationTexts is null
            && options.ValidationFraction > 0
            && options.Tokenizer.LearnsVocabulary
            && Array.Exists(texts, text => text.Length > 0))
            (trainingTexts, heldTexts) = TextSplit.Cut(texts, options.ValidationFraction);

        var tokenizer = options.Tokenizer.Create(trainingTexts, options.CancellationToken);
        var (training, empty) = EncodeAll(channel, tokenizer, trainingTexts, "training");
        if (heldTexts is not null)
        {
            var (held, heldEmpty) = EncodeAll(channel, tokenizer, heldTexts, "validation");
            ReportUnknown(channel, tokenizer, held);
            return (tokenizer, new(training, held, empty + heldEmpty));
        }
        if (options.ValidationFraction == 0)
            return (tokenizer, new(training, null, empty));

        var (first, last) = Split(training, options.ValidationFraction);
        return (tokenizer, new(first, last, empty));
    }

    private static void ReportUnknown(IChannel channel, TextTokenizer tokenizer, List<int[]> held)
    {
        if (tokenizer.UnknownId is { } unknown
            && held.Sum(document => (long)document.Count(token => token == unknown)) is > 0 and var count)
        {
            channel.Warning(
                MessageSensitivity.None,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Of the validation data {count:n0} of {held.Sum(document => (long)document.Length):n0} tokens are characters that "
                        + $"the training data lack; they are read as unknown."));
        }
    }

    private (List<int[]> Documents, long Empty) EncodeAll(IChannel channel, TextTokenizer tokenizer, IEnumerable<string> texts, string what)
    {
        var (documents, empty) = (new List<int[]>(), 0L);
        foreach (var text in texts)
        {
            options.CancellationToken.ThrowIfCancellationRequested();
            host.CheckAlive();
            var document = tokenizer.Encode(text);
            if (document.Length > 0)
                documents.Add(document);
            else
                empty++;
        }

        if (documents.Count == 0)
            throw new InvalidOperationException(
                empty == 0
                    ? $"The {what} data have no rows."
                    : $"The {what} data have no text in column '{columns.Text}': all {empty:n0} rows are empty.");
        if (empty > 0)
            channel.Warning(
                MessageSensitivity.None,
                $"Of the {what} data {documents.Count:n0} rows are used; {empty:n0} have no text in column '{columns.Text}'.");
        return (documents, empty);
    }

    private static (List<int[]> First, List<int[]> Last) Split(List<int[]> documents, double fraction)
    {
        var all = documents.Sum(document => (long)document.Length);
        var left = all - Math.Max(1, (long)Math.Round(all * fraction));
        if (left < 1)
            throw new InvalidOperationException(
                $"{nameof(PeerLanguageModel.Options.ValidationFraction)} is {fraction}, which leaves nothing of {all:n0} tokens to train "
                    + $"on.");

        var (first, last) = (new List<int[]>(), new List<int[]>());
        foreach (var document in documents)
        {
            var here = (int)Math.Min(left, document.Length);
            if (here > 0)
                first.Add(document[..here]);
            if (here < document.Length)
                last.Add(document[here..]);
            left -= here;
        }
        return (first, last);
    }

    private static void Announce(TrainingSession session, LanguageModelConfig config, FitData data, torch.ScalarType computeType)
    {
        var cost = config.GetCost();
        var (tables, optimizer) = config.GetTableBytes();
        var memory =
            tables > 0
                ? string.Create(
                    CultureInfo.InvariantCulture,
                    $" The tables of experts take {tables / 1e9:0.00} GB, and their optimizer {optimizer / 1e9:0.00} GB.")
                : "";
        session.Channel.Say(
            string.Create(
                CultureInfo.InvariantCulture,
                $"Training a language model of {cost.Parameters:n0} parameters ({cost.ActiveParameters:n0} active for a token) on "
                    + $"{data.TrainingTokens:n0} tokens of {data.Training.Count:n0} texts, "
                    + $"validating on {data.ValidationTokens:n0}; {config.VocabularySize:n0} tokens in the vocabulary; {session.Length}; "
                    + $"{session.Device}, {computeType}.{memory}"));
    }

    /// <summary>The documents of a training.</summary>
    private sealed record FitData(List<int[]> Training, List<int[]>? Validation, long EmptyTexts)
    {
        public long TrainingTokens { get; } = Training.Sum(document => (long)document.Length) + Training.Count;

        public long ValidationTokens { get; } = Validation?.Sum(document => (long)document.Length) ?? 0;
    }
}
