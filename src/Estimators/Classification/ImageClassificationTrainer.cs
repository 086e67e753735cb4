using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Pretraining;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using Microsoft.ML.Transforms.Image;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What all estimators of image classifiers do: check the columns, read the data, train, and hand out a transformer.</summary>
internal sealed class ImageClassificationTrainer
{
    // Independent random sequences out of one seed; epochs take those from 0 up.
    private const int SplitStream = -1;
    private const int PretrainingStream = -2;

    private readonly IHost host;
    private readonly ImageClassificationOptions options;
    private readonly IReadOnlyList<ChosenOption> chosenForPretraining;

    public ImageClassificationTrainer(IHostEnvironment environment, string name, ImageClassificationOptions options)
    {
        options.Validate();
        host = environment.Register(name);
        this.options = options.Copy();
        chosenForPretraining =
        [
            .. (this.options.Pretraining?.Settle() ?? []).Select(choice =>
                choice with { Option = $"{nameof(options.Pretraining)}.{choice.Option}" }),
        ];
    }

    private ImageClassificationTrainer(
        IHost host, ImageClassificationOptions options, IReadOnlyList<ChosenOption> chosenForPretraining) =>
        (this.host, this.options, this.chosenForPretraining) = (host, options, chosenForPretraining);

    /// <summary>What ML.NET asks of every trainer.</summary>
    public TrainerInfo Info { get; } = new(normalization: false, calibration: false, caching: false, supportValid: true);

    /// <summary>The columns after the estimator, from the columns before it.</summary>
    public SchemaShape GetOutputSchema(SchemaShape input)
    {
        host.CheckValue(input, nameof(input));
        ImageColumn.Check(host, input, WantedImages(options.StartingPoint));
        if (!input.TryFindColumn(options.LabelColumnName, out var label))
            throw host.ExceptSchemaMismatch(nameof(input), "label", options.LabelColumnName);
        if (!label.IsKey || label.Kind != SchemaShape.Column.VectorKind.Scalar || label.ItemType != NumberDataViewType.UInt32)
            throw host.ExceptSchemaMismatch(nameof(input), "label", options.LabelColumnName, LabelColumn.Expected, label.GetTypeString());

        WeightColumn.Check(host, input, options.ExampleWeightColumnName);
        var columns = input.ToDictionary(column => column.Name);
        foreach (var column in ClassificationColumns.Shapes(
                options.PredictedLabelColumnName, options.ScoreColumnName, options.EmbeddingColumnName, label))
            columns[column.Name] = column;
        return new SchemaShape(columns.Values);
    }

    /// <summary>Trains.</summary>
    public ImageClassificationTransformer Fit(IDataView trainData, IDataView? validation) =>
        // Other data may lead to other choices.
        new ImageClassificationTrainer(host, options.Copy(), chosenForPretraining).Train(trainData, validation);

    private ImageClassificationTransformer Train(IDataView trainData, IDataView? validation)
    {
        host.CheckValue(trainData, nameof(trainData));
        var start = options.StartingPoint;
        start?.RequireAlive();
        LabelColumn.RequireSome(trainData, options.LabelColumnName);
        var training = FindColumns(trainData, start);
        var labels = training.Labels!;   // FindColumns has found them
        var validating = validation is null ? null : FindValidationColumns(validation, training.Images, labels);
        var unlabelled = options.Pretraining?.UnlabeledData is { } images
            ? new ImageData(images, training.Images.FindIn(host, images.Schema), Labels: null)
            : null;
        var config = options.CreateConfig(training.Images.Shape, labels.ClassCount);

        ChosenOption[] chosen = [.. options.Settle(training.Images.Shape, () => CountRows(training, validating)), .. chosenForPretraining];
        var pretraining = options.Pretraining?.Beside(options.Checkpoints);
        using var session = new TrainingSession(host, options, validates: validating is not null, "images", pretraining);
        var scan = Scan(session.Channel, training, "training", CacheLimit, isSplit: validating is null && options.ValidationFraction > 0,
            options.Crop);
        if (scan.Labels.Distinct().Count() == 1)
        {
            throw new InvalidOperationException(
                $"All {scan.Examples.Count:n0} usable rows of the training data have the same label (key {scan.Labels[0] + 1} of column "
                    + $"'{labels.Name}'); a classifier needs examples of at least 2.");
        }

        var validationScan = validating is null ? null : Scan(session.Channel, validating, "validation", CacheLimit - scan.CachedBytes);
        var unlabelledScan = unlabelled is null
            ? null
            : Scan(session.Channel, unlabelled, "unlabelled", CacheLimit - scan.CachedBytes - (validationScan?.CachedBytes ?? 0));
        var split = validationScan is null
            ? scan.Split(
                options.ValidationFraction,
                SeededRandom.Create(session.Seed, SplitStream),
                message => session.Channel.Warning(MessageSensitivity.None, $"{nameof(options.ValidationFraction)}: {message}"),
                labels.Describe)
            : scan.With(validationScan);
        var (examples, held, measured, range) = split;
        var weights = LossWeights.Create(options, labels, split);

        var computeType = config.ComputeType(options.Precision, session.Device);
        var normalization = start?.NormalizationFor(range) ?? measured;
        return session.With(
            () => config.Build(session.Device, computeType),
            model =>
            {
                session.Channel.Say(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"Training a model of {config.GetCost().Parameters:n0} parameters on {examples.Count:n0} images of "
                            + $"{training.Images.Shape} in {config.ClassCount} classes, "
                            + $"validating on {held?.Count ?? 0:n0}; {session.Length}; images "
                            + $"{(scan.Cached ? "in memory" : "read anew each epoch")}; {session.Device}, {computeType}."));
                ChosenOption[] allChosen = [.. chosen, .. options.ChosenOfTheModel(config)];
                session.SayChosen(allChosen);
                start?.CopyTo(model, labels, (measured, normalization), options, session.Channel);
                session.Identify(config.ToJson(), () =>
                    Facts(computeType, [scan, validationScan, unlabelledScan], start is null ? null : model));
                var pixels = range.ToScale(normalization);
                if (pretraining is not null)
                    Pretrain(
                        session, model, pretraining, pixels, unlabelledScan?.Examples ?? examples,
                        new ImageBatches(training.Images, normalization, session.Device, pretraining.BatchSize!.Value));
                var result = Train(
                    session,
                    model,
                    split,
                    weights,
                    options.CreateAugmentation(pixels) with { RandomResizedCrop = split.Cropped is null ? options.Crop : null },
                    new ImageBatches(training.Images, normalization, session.Device, options.BatchSize!.Value));

                var summary = new ImageClassificationSummary(
                    result,
                    examples.Count,
                    held?.Count ?? 0,
                    scan.MissingLabels + (validationScan?.MissingLabels ?? 0),
                    scan.UnreadableImages + (validationScan?.UnreadableImages ?? 0),
                    scan.Cached,
                    session.Seed)
                {
                    Earlier = start?.Trainings ?? [],
                    Options = options.Describe(),
                    Chosen = allChosen,
                };
                var columns = new ClassificationColumns(
                    options.PredictedLabelColumnName, options.ScoreColumnName, options.EmbeddingColumnName, config.ClassCount,
                    config.FeatureWidth, labels.Values);
                return new ImageClassificationTransformer(
                    host,
                    new ImageScorer(model, normalization, session.Device, options.ScoringViews),
                    training.Images,
                    columns,
                    labels.Name,
                    new(options.Precision, options.PredictionBatchSize),
                    summary);
            }
        );
    }

    // Before the images are read, since what was chosen tells whether a training can be continued.
    private int CountRows(ImageData training, ImageData? validating)
    {
        var rows = training.Labels!.CountRows(training.View, options.CancellationToken);
        return validating is null ? rows - (int)(options.ValidationFraction * rows) : rows;
    }

    private long CacheLimit => options.CacheInMemory switch
    {
        true => long.MaxValue,
        false => 0,
        null => options.CacheLimit,
    };

    private void Pretrain(
        TrainingSession session,
        ImageClassifier model,
        MoCoPretraining pretraining,
        PixelScale pixels,
        IImageExamples examples,
        ImageBatches batches)
    {
        if (session.IsContinued)
            return;
        if (examples.Count < 2)
            throw new InvalidOperationException($"There is {examples.Count} image to pre-train on; at least 2 are wanted.");
        session.Channel.Say(
            string.Create(
                CultureInfo.InvariantCulture, $"Pre-training on {examples.Count:n0} images without labels; {pretraining.Epochs} epochs."));
        using var generator = new torch.Generator((ulong)session.Seed, torch.CPU);
        var views = pretraining.CreateMoCoOptions(pixels, Math.Max(model.Config.ImageHeight, model.Config.ImageWidth));
        using var moco = new MoCo(model, views, generator, model.Config.ComputeType(options.Precision, session.Device));
        session.RunBefore(
            "Pre-training",
            moco.Module,
            batch => moco.ComputeLoss(batch.Images_NCHW),
            new ImageBatchSource(
                examples, batches, SeededRandom.Create(session.Seed, PretrainingStream).NextInt64(), wholeBatchesOnly: true),
            new() { Companions = [moco], Generators = new Dictionary<string, torch.Generator> { ["views"] = generator } },
            pretraining.Progress);
    }

    private TrainingResult Train(
        TrainingSession session,
        ImageClassifier model,
        ImageSplit split,
        LossWeights? weights,
        ImageAugmentation augmentation,
        ImageBatches batches)
    {
        using var generator = new torch.Generator((ulong)session.Seed, torch.CPU);
        using var freezing = new FreezeScope(model, name => (model.PartOf(name) & options.Frozen) != 0);
        var objective = new ImageClassificationObjective(
            model,
            augmentation,
            options.LabelSmoothing!.Value,
            generator,
            options.CreateMixing(),
            options.ScoringViews);
        var validation = split.Validation is { } held ? session.InBackground(new ImageBatchSource(held, batches, seed: null)) : null;
        return session.Run(
            model,
            objective.ComputeLoss,
            new ImageBatchSource(
                split.Cropped ?? split.Training,
                batches,
                session.Seed,
                flips: options.AlternatingFlips ? new AlternatingFlips(session.Seed) : null)
            {
                WeightOf = weights is null ? null : weights.Of,
                Sampling = options.ClassBalancing == ClassBalancing.Sampling ? new BalancedSampling(split.Labels, session.Seed) : null,
            },
            validation is null ? null : token => objective.Evaluate(session.Watch(validation.ReadEpoch(0, token)), token),
            new()
            {
                LearningRateScale = name => model.PartOf(name) == ModelParts.Head ? 1 : options.BackboneLearningRateScale,
                Generators = new Dictionary<string, torch.Generator> { ["augmentation"] = generator },
            });
    }

    // What a training that is continued must have as it was, besides its options and the model's configuration.
    private IEnumerable<KeyValuePair<string, string>> Facts(torch.ScalarType computeType, ImageScan?[] scans, ImageClassifier? initial) =>
        [
            new(
                nameof(options.ShufflePoolSize),
                scans[0] is { Cached: true, Examples: CachedImages }
                    ? "all images"
                    : options.ShufflePoolSize.ToString(CultureInfo.InvariantCulture)),
            new("ComputeType", computeType.ToString()),
            .. scans[0]!.Cropped is null
                ? Enumerable.Empty<KeyValuePair<string, string>>()
                : [new(nameof(options.RandomResizedCropScale) + " of", "the pictures at their own size")],
            new(nameof(options.InitialModel), initial is null ? "none" : ContinuedTraining.HashOfWeights(initial)),
            .. scans.OfType<ImageScan>().SelectMany(scan => scan.Fingerprint),
        ];

    private ImageScan Scan(
        IChannel channel, ImageData data, string what, long cacheLimit, bool isSplit = false, RandomResizedCrop? crop = null) =>
        ImageScan.Run(
            host,
            channel,
            data,
            what,
            new()
            {
                CacheLimit = cacheLimit,
                PoolSize = options.ShufflePoolSize,
                Fingerprints = options.Checkpoints is not null,
                Splits = isSplit,
                Crop = crop,
                Threads = options.Threads ?? Environment.ProcessorCount,
            },
            options.CancellationToken);

    private ImageData FindColumns(IDataView data, StartingPoint? start) =>
        new(
            data,
            ImageColumn.Find(host, data.Schema, WantedImages(start)),
            LabelColumn.Find(host, data.Schema, options.LabelColumnName),
            WeightColumn.Find(host, data.Schema, options.ExampleWeightColumnName));

    private WantedImages WantedImages(StartingPoint? start) =>
        new(options.FeatureColumnName, options.Channels, options.ImageHeight, options.ImageWidth, options.Resizing, start?.Shape);

    private ImageData FindValidationColumns(IDataView data, ImageColumn trainingImages, LabelColumn trainingLabels)
    {
        var labels = LabelColumn.Find(host, data.Schema, options.LabelColumnName);
        if (labels.ClassCount != trainingLabels.ClassCount)
            throw new ArgumentException(
                $"Column '{labels.Name}' has {labels.ClassCount} classes in the validation data and {trainingLabels.ClassCount} in the "
                    + "training data; use the same key mapping for both.");
        if (labels.Values is null != trainingLabels.Values is null)
            throw new ArgumentException(
                $"Column '{labels.Name}' has names for its classes only in the {(labels.Values is null ? "training" : "validation")} "
                    + "data; use the same key mapping for both.");
        if (labels.Values is { } values && !values.SameAs(trainingLabels.Values!))
            throw new ArgumentException(
                $"Column '{labels.Name}' has the classes [{string.Join(", ", values.ToTexts().Take(10))}] in the validation data and "
                    + $"[{string.Join(", ", trainingLabels.Values!.ToTexts().Take(10))}] "
                    + "in the training data; use the same key mapping for both.");
        return new(data, trainingImages.FindIn(host, data.Schema), labels);
    }
}
