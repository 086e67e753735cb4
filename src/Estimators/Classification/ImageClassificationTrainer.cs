using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Pretraining;
using Microsoft.ML.MoE.Routing;
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

    public ImageClassificationTrainer(IHostEnvironment environment, string name, ImageClassificationOptions options)
    {
        options.Validate();
        host = environment.Register(name);
        this.options = options.Copy();
    }

    /// <summary>What ML.NET asks of every trainer.</summary>
    public TrainerInfo Info { get; } = new(normalization: false, calibration: false, caching: false, supportValid: true);

    /// <summary>The columns after the estimator, from the columns before it.</summary>
    public SchemaShape GetOutputSchema(SchemaShape input)
    {
        host.CheckValue(input, nameof(input));
        ImageColumn.Check(
            host, input, options.FeatureColumnName, options.Channels, options.ImageHeight, options.ImageWidth, options.Resizing, options.StartingPoint?.Shape);
        if (!input.TryFindColumn(options.LabelColumnName, out var label))
            throw host.ExceptSchemaMismatch(nameof(input), "label", options.LabelColumnName);
        if (!label.IsKey || label.Kind != SchemaShape.Column.VectorKind.Scalar || label.ItemType != NumberDataViewType.UInt32)
            throw host.ExceptSchemaMismatch(nameof(input), "label", options.LabelColumnName, LabelColumn.Expected, label.GetTypeString());

        var columns = input.ToDictionary(column => column.Name);
        foreach (var column in ClassificationColumns.Shapes(options.PredictedLabelColumnName, options.ScoreColumnName, options.EmbeddingColumnName, label))
            columns[column.Name] = column;
        return new SchemaShape(columns.Values);
    }

    /// <summary>Trains.</summary>
    public ImageClassificationTransformer Fit(IDataView trainData, IDataView? validation)
    {
        host.CheckValue(trainData, nameof(trainData));
        using var channel = host.Start("Fit");

        var start = options.StartingPoint;
        start?.RequireAlive();
        var training = FindColumns(trainData, start);
        var labels = training.Labels!;   // FindColumns has found them
        var validating = validation is null ? null : FindValidationColumns(validation, training.Images, labels);
        var unlabelled = options.Pretraining?.UnlabeledData is { } images ? new ImageData(images, training.Images.FindIn(host, images.Schema), Labels: null) : null;
        var config = options.CreateConfig(training.Images.Shape, labels.ClassCount);
        if (options.EarlyStopping is not null && validating is null && options.ValidationFraction == 0)
        {
            throw new InvalidOperationException(
                $"{nameof(options.EarlyStopping)} is set, but there is nothing to validate on: pass validation data to Fit, or set {nameof(options.ValidationFraction)} above 0.");
        }

        var device = host.SelectDevice();
        var trainingOptions = options.CreateTrainingOptions();
        var continued = ContinuedTraining.Peek(trainingOptions, options.Describe());
        var pretrainingOptions = options.Pretraining?.CreateTrainingOptions(trainingOptions.Checkpoints);
        var pretraining = continued is null && pretrainingOptions is not null ? ContinuedTraining.Peek(pretrainingOptions, options.Describe()) : null;
        var seed = host.SelectSeed(options.Seed, continued ?? pretraining);
        var scan = Scan(channel, training, "training", CacheLimit, isSplit: validating is null && options.ValidationFraction > 0);
        if (scan.Labels.Distinct().Count() == 1)
        {
            throw new InvalidOperationException(
                $"All {scan.Examples.Count:n0} usable rows of the training data have the same label (key {scan.Labels[0] + 1} of column '{labels.Name}'); a classifier needs examples of at least 2.");
        }

        var validationScan = validating is null ? null : Scan(channel, validating, "validation", CacheLimit - scan.CachedBytes);
        var unlabelledScan = unlabelled is null ? null : Scan(channel, unlabelled, "unlabelled", CacheLimit - scan.CachedBytes - (validationScan?.CachedBytes ?? 0));
        var (examples, held, measured, range) = validationScan is null ? scan.Split(options.ValidationFraction, SeededRandom.Create(seed, SplitStream)) : scan.With(validationScan);

        using var generatorScope = new GeneratorScope(seed, device);
        using var threadScope = new ThreadScope(options.Threads);
        using var inference = torch.inference_mode(false);   // the caller may be within one, where weights could not be trained
        using var disposeScope = torch.NewDisposeScope();   // holds what is made on the way; the scorer takes the weights out of it
        var computeType = config.ComputeType(options.Precision, device);
        var normalization = start?.Normalization ?? measured;
        var model = config.Build(device, computeType);
        try
        {
            Announce(channel, config, examples, held, scan.Cached, device, computeType);
            start?.CopyTo(model, labels, measured, options, channel);
            var identity = options.CheckpointFolder is null ? [] : Identity(config, computeType, seed, scan, [validationScan, unlabelledScan], start is null ? null : model);
            var data = new FitData(examples, held, new ImageBatches(training.Images, normalization, device, options.BatchSize), range.ToScale(normalization), seed, identity);
            if (pretraining is not null)
                channel.Say(ContinuedTraining.Announce("Pre-training", pretraining, pretrainingOptions!));
            if (continued is not null)
                channel.Say(ContinuedTraining.Announce("Training", continued, trainingOptions));
            else if (options.Pretraining is { } method)
                Pretrain(channel, model, method, pretrainingOptions!, data, unlabelledScan?.Examples ?? examples, new ImageBatches(training.Images, normalization, device, method.BatchSize), computeType);
            var result = Train(channel, model, trainingOptions, data);
            channel.Say(TrainingReports.Describe(result));

            var summary = new ImageClassificationSummary(
                result, examples.Count, held?.Count ?? 0,
                scan.MissingLabels + (validationScan?.MissingLabels ?? 0), scan.UnreadableImages + (validationScan?.UnreadableImages ?? 0), scan.Cached, seed)
            { Earlier = start?.Trainings ?? [] };
            var columns = new ClassificationColumns(
                options.PredictedLabelColumnName, options.ScoreColumnName, options.EmbeddingColumnName, config.ClassCount, config.FeatureWidth, labels.Values);
            return new ImageClassificationTransformer(
                host, new ImageScorer(model, normalization, device), training.Images, columns,
                labels.Name, options.Precision, options.PredictionBatchSize, summary);
        }
        catch
        {
            model.Dispose();
            throw;
        }
        finally
        {
            TorchRuntime.ReleaseFreedMemory();   // gradients, activations, the optimizer's moments: several times the model
        }
    }

    private long CacheLimit => options.CacheInMemory switch
    {
        true => long.MaxValue,
        false => 0,
        null => options.CacheLimit,
    };

    private void Pretrain(
        IChannel channel, ImageClassifier model, MoCoPretraining pretraining, TrainingOptions trainingOptions, FitData data, IImageExamples examples, ImageBatches batches, torch.ScalarType computeType)
    {
        if (examples.Count < 2)
            throw new InvalidOperationException($"There is {examples.Count} image to pre-train on; at least 2 are wanted.");
        channel.Say(string.Create(CultureInfo.InvariantCulture, $"Pre-training on {examples.Count:n0} images without labels; {pretraining.Epochs} epochs."));
        using var generator = new torch.Generator((ulong)data.Seed, torch.CPU);
        using var moco = new MoCo(model, pretraining.CreateMoCoOptions(data.Pixels, Math.Max(model.Config.ImageHeight, model.Config.ImageWidth)), generator, computeType);
        var loop = new TrainingLoop<ImageBatch>(moco.Module, batch => moco.ComputeLoss(batch.Images_NCHW), trainingOptions)
        {
            Companions = [moco],
            Generators = new Dictionary<string, torch.Generator> { ["views"] = generator },
            Identity = data.Identity,
            Warn = text => channel.Warning(MessageSensitivity.None, text),
        };
        using var cancellation = new HostCancellation(host, options.CancellationToken);
        var source = new ImageBatchSource(examples, batches, SeededRandom.Create(data.Seed, PretrainingStream).NextInt64(), wholeBatchesOnly: true);
        loop.Run(
            cancellation.Watch(new PrefetchingBatchSource<ImageBatch>(source, options.LookAhead)), progress: progress => Report(channel, "Pre-training, epoch", progress, pretraining.Progress),
            cancellationToken: cancellation.Token);
    }

    private TrainingResult Train(IChannel channel, ImageClassifier model, TrainingOptions trainingOptions, FitData data)
    {
        using var generator = new torch.Generator((ulong)data.Seed, torch.CPU);
        var objective = new ImageClassificationObjective(model, options.CreateAugmentation(data.Pixels), options.LabelSmoothing, generator, options.CreateMixing());
        using var freezing = new FreezeScope(model, options.Frozen);
        var loop = new TrainingLoop<ImageBatch>(model, objective.ComputeLoss, trainingOptions)
        {
            LearningRateScale = name => model.PartOf(name) == ModelParts.Head ? 1 : options.BackboneLearningRateScale,
            Generators = new Dictionary<string, torch.Generator> { ["augmentation"] = generator },
            Identity = data.Identity,
            Warn = text => channel.Warning(MessageSensitivity.None, text),
        };
        using var cancellation = new HostCancellation(host, options.CancellationToken);
        var source = new PrefetchingBatchSource<ImageBatch>(new ImageBatchSource(data.Training, data.Batches, data.Seed), options.LookAhead);
        var held = data.Validation is { } examples ? new PrefetchingBatchSource<ImageBatch>(new ImageBatchSource(examples, data.Batches, seed: null), options.LookAhead) : null;
        Func<CancellationToken, ValidationResult>? validate = held is null ? null : token => objective.Evaluate(cancellation.Watch(held.ReadEpoch(0, token)), token);
        return loop.Run(cancellation.Watch(source), validate, progress => Report(channel, "Epoch", progress, options.Progress), cancellation.Token);
    }

    // What a training that is continued must have as it was, besides the options of the loop.
    private Dictionary<string, string> Identity(ImageClassifierConfig config, torch.ScalarType computeType, int seed, ImageScan scan, ImageScan?[] others, ImageClassifier? initial)
    {
        var identity = new Dictionary<string, string>(options.Describe())
        {
            [nameof(options.Seed)] = seed.ToString(CultureInfo.InvariantCulture),
            [nameof(options.ShufflePoolSize)] = scan.Cached ? "all images" : options.ShufflePoolSize.ToString(CultureInfo.InvariantCulture),
            ["ComputeType"] = computeType.ToString(),
            [nameof(options.InitialModel)] = initial is null ? "none" : ContinuedTraining.HashOfWeights(initial),
        };
        foreach (var (name, value) in ContinuedTraining.Describe("Model", JsonNode.Parse(config.ToJson())).Concat(others.Prepend(scan).OfType<ImageScan>().SelectMany(each => each.Fingerprint)))
            identity.Add(name, value);
        return identity;
    }

    private ImageScan Scan(IChannel channel, ImageData data, string what, long cacheLimit, bool isSplit = false) =>
        ImageScan.Run(host, channel, data, what, cacheLimit, options.ShufflePoolSize, fingerprint: options.CheckpointFolder is not null, options.CancellationToken, isSplit);

    private ImageData FindColumns(IDataView data, StartingPoint? start) => new(
        data,
        ImageColumn.Find(host, data.Schema, options.FeatureColumnName, options.Channels, options.ImageHeight, options.ImageWidth, options.Resizing, start?.Shape),
        LabelColumn.Find(host, data.Schema, options.LabelColumnName));

    private ImageData FindValidationColumns(IDataView data, ImageColumn trainingImages, LabelColumn trainingLabels)
    {
        var labels = LabelColumn.Find(host, data.Schema, options.LabelColumnName);
        if (labels.ClassCount != trainingLabels.ClassCount)
            throw new ArgumentException($"Column '{labels.Name}' has {labels.ClassCount} classes in the validation data and {trainingLabels.ClassCount} in the training data; use the same key mapping for both.");
        if (labels.Values is null != trainingLabels.Values is null)
            throw new ArgumentException($"Column '{labels.Name}' has names for its classes only in the {(labels.Values is null ? "training" : "validation")} data; use the same key mapping for both.");
        if (labels.Values is { } values && !values.SameAs(trainingLabels.Values!))
            throw new ArgumentException(
                $"Column '{labels.Name}' has the classes [{string.Join(", ", values.ToTexts().Take(10))}] in the validation data and [{string.Join(", ", trainingLabels.Values!.ToTexts().Take(10))}] "
                + "in the training data; use the same key mapping for both.");
        return new(data, trainingImages.FindIn(host, data.Schema), labels);
    }

    private void Announce(IChannel channel, ImageClassifierConfig config, IImageExamples training, IImageExamples? validation, bool cached, torch.Device device, torch.ScalarType computeType) => channel.Say(string.Create(
        CultureInfo.InvariantCulture,
        $"Training a model of {config.GetCost().Parameters:n0} parameters on {training.Count:n0} images of {new ImageShape(config.Channels, config.ImageHeight, config.ImageWidth)} "
        + $"in {config.ClassCount} classes, validating on {validation?.Count ?? 0:n0}; {options.Epochs} epochs; "
        + $"images {(cached ? "in memory" : "read anew each epoch")}; {device}, {computeType}."));

    private static void Report(IChannel channel, string what, TrainingProgress progress, Action<TrainingProgress>? callback)
    {
        var step = progress.EpochCompleted ? "" : string.Create(CultureInfo.InvariantCulture, $", step {progress.Step:n0}/{progress.TotalSteps:n0}");
        channel.Say(string.Create(
            CultureInfo.InvariantCulture,
            $"{what} {progress.Epoch}/{progress.TotalEpochs}{step}: loss {progress.Loss:0.0000}, balance loss {progress.AuxiliaryLoss:0.0000}{Describe(progress.ExpertLoad)}{TrainingReports.Describe(progress.Validation)}, "
            + $"{progress.SamplesPerSecond:n0} images/s, learning rate {progress.LearningRate:0.0e0}."));
        callback?.Invoke(progress);
    }

    private static string Describe(IReadOnlyList<ExpertLoad>? load) => load is not { Count: > 0 } ? "" : string.Create(
        CultureInfo.InvariantCulture,
        $", expert load {load.Min(layer => layer.Fractions.Min()):P0} to {load.Max(layer => layer.Fractions.Max()):P0} with {load.Average(layer => layer.DroppedFraction):P1} dropped");

    /// <summary>The examples of a training, and how they become batches.</summary>
    private sealed record FitData(
        IImageExamples Training, IImageExamples? Validation, ImageBatches Batches, PixelScale Pixels, int Seed, IReadOnlyDictionary<string, string> Identity);
}
