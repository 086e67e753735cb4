using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What all image classifiers can be told: columns, images, training, data. The architecture is each estimator's own.</summary>
public abstract class ImageClassificationOptions
{
    // What is told otherwise (the images' size and the pool by the data, the seed, the weights of an initial model), or changes no weight.
    private static readonly HashSet<string> WithoutInfluence =
    [
        nameof(ImageHeight), nameof(ImageWidth), nameof(Channels), nameof(Seed), nameof(Threads), nameof(LookAhead), nameof(CacheInMemory), nameof(CacheLimit), nameof(ShufflePoolSize), nameof(PredictionBatchSize),
        nameof(InitialModel), nameof(ProgressInterval), nameof(Progress), nameof(CancellationToken), nameof(OnCancellation),
        nameof(CheckpointFolder), nameof(CheckpointEverySteps), nameof(CheckpointEveryEpochs), nameof(CheckpointsKept), nameof(Resume),
    ];

    private protected ImageClassificationOptions()
    {
    }

    /// <summary>Column with the label, a key (<c>MapValueToKey</c>). Rows without a label are left out. Default "Label".</summary>
    public string LabelColumnName { get; set; } = "Label";

    /// <summary>
    /// Column with the images: pictures (<see cref="Microsoft.ML.Data.MLImage"/>) of any size, or a known-size vector of Single or Byte as <c>ExtractPixels</c> gives. Default "Features".
    /// </summary>
    public string FeatureColumnName { get; set; } = "Features";

    /// <summary>Column that receives the class probabilities, a vector of Single. Default "Score".</summary>
    public string ScoreColumnName { get; set; } = "Score";

    /// <summary>Column that receives the most probable class, a key like the label. Default "PredictedLabel".</summary>
    public string PredictedLabelColumnName { get; set; } = "PredictedLabel";

    /// <summary>
    /// Column that receives what the model makes of each image before it reads the class from it, as features for other trainers: a vector of Single as wide as the model. Null (default) for none.
    /// The vector is the input of the classification layer, <see cref="ImageClassifierOutput.Features_ND"/>: what the last block gives, after the final LayerNorm and pooled to one vector, and after the
    /// linear layer with tanh where the architecture has one. NaN where the image is missing.
    /// </summary>
    public string? EmbeddingColumnName { get; set; }

    /// <summary>
    /// Height of the model's images in pixels. Null (default): the column's own, and 224 for pictures whose column does not say. Pictures of another size are resized, vectors must have this one.
    /// </summary>
    public int? ImageHeight { get; set; }

    /// <summary>Width of the model's images in pixels; see <see cref="ImageHeight"/>.</summary>
    public int? ImageWidth { get; set; }

    /// <summary>Channels of the model's images: 1 for grey, 3 for colour. Null (default): the vector's own, and 3 for pictures.</summary>
    public int? Channels { get; set; }

    /// <summary>How pictures of another size are brought to the model's: the middle part (default), all of it with black bars, or all of it stretched.</summary>
    public ImageResizingEstimator.ResizingKind Resizing { get; set; } = ImageResizingEstimator.ResizingKind.IsoCrop;

    /// <summary>
    /// A model that was trained before, to go on from: an <see cref="ImageClassificationTransformer"/>, or a pipeline with one in it, such as <c>mlContext.Model.Load</c> returns. Null (default): from
    /// random weights. It is not changed. The architecture must be the same; what acts while training only (dropout, router noise, capacity, balance loss) may differ.
    /// </summary>
    /// <remarks>
    /// <para>Classes are told by their values, whatever their keys: where the training data have the same classes, the layer that reads them goes on too; where they have others, or where only one of the two
    /// has names for its classes, it starts anew.</para>
    /// <para>Images of another size are allowed where the architecture bears it: the position embeddings of a Transformer are interpolated bicubically. Other channels are not. Sizes that neither
    /// the options nor the column give are the earlier model's.</para>
    /// <para>The normalisation of the pixels stays the earlier model's, so the column must hold them in the same units; a warning says where its mean or deviation is far off.</para>
    /// </remarks>
    public ITransformer? InitialModel { get; set; }

    /// <summary>Parts that stay as they are in <see cref="InitialModel"/>, which must be set then. Default: none. They still drop values and add noise to routers while the rest learns, as far as the options say.</summary>
    public ModelParts Frozen { get; set; }

    /// <summary>What the learning rate of everything but the head is multiplied by, above 0. Default 1. Below 1 for a model that was trained before, whose head is new. Multiplies with <see cref="LayerDecay"/>.</summary>
    public double BackboneLearningRateScale { get; set; } = 1;

    /// <summary>Passes over the training data, at least 1. Default 10.</summary>
    public int Epochs { get; set; } = 10;

    /// <summary>Images of a training step, at least 1. Default 64.</summary>
    public int BatchSize { get; set; } = 64;

    /// <summary>Batches whose gradients are averaged for one update, at least 1. Default 1. Takes the memory of one batch and trains like a batch of all of them together, except that capacity and balance loss are still those of each batch by itself.</summary>
    public int GradientAccumulation { get; set; } = 1;

    /// <summary>
    /// What is learned without labels before the training; null (default) for nothing. It has checkpoints of its own, as often as the training's, in the folder "pretraining" within <see cref="CheckpointFolder"/>.
    /// </summary>
    public MoCoPretraining? Pretraining { get; set; }

    /// <summary>The optimizer. Default: AdamW.</summary>
    public OptimizerKind Optimizer { get; set; }

    /// <summary>Momentum where the optimizer is gradient descent, 0 to below 1. Default 0.9.</summary>
    public double Momentum { get; set; } = 0.9;

    /// <summary>Whether gradient descent looks ahead along its momentum (Nesterov), which must be above 0 then. Default false.</summary>
    public bool Nesterov { get; set; }

    /// <summary>
    /// What the learning rate is multiplied by from one layer to the one before it, above 0 and at most 1, for models that were trained before: the layers next to the image change least.
    /// Default 1: all layers learn alike. Modules that several blocks share get the mean of those blocks' rates.
    /// </summary>
    public double LayerDecay { get; set; } = 1;

    /// <summary>Highest learning rate, at least 0. Default 1e-3, which suits AdamW.</summary>
    public double LearningRate { get; set; } = 1e-3;

    /// <summary>Learning rate of the last step, at least 0. Default 1e-5. Without effect where the rate is constant; where <see cref="LearningRate"/> is lower than this, the rate does not fall.</summary>
    public double FinalLearningRate { get; set; } = 1e-5;

    /// <summary>How the learning rate falls from its highest to its last value. Default: a cosine.</summary>
    public LearningRateDecay LearningRateDecay { get; set; }

    /// <summary>Part of all steps in which the learning rate climbs, 0 to 1. Default 0.05.</summary>
    public double WarmupFraction { get; set; } = 0.05;

    /// <summary>Weight decay, decoupled with AdamW, at least 0; norms, biases and embeddings do not decay. Default 0.05.</summary>
    public double WeightDecay { get; set; } = 0.05;

    /// <summary>Limit on the norm of all gradients together, above 0; null for none. Default 1.</summary>
    public double? GradientClipNorm { get; set; } = 1;

    /// <summary>
    /// Decay of a moving average of the weights, 0 to below 1, usually 0.99 to 0.9999 (the more steps, the higher); null (default) for none. Validation measures the average, and it is the model that comes out.
    /// </summary>
    public double? EmaDecay { get; set; }

    /// <summary>Part of the target that is spread evenly over all classes, 0 to below 1. Default 0.1.</summary>
    public double LabelSmoothing { get; set; } = 0.1;

    /// <summary>
    /// α of Mixup (arXiv 1710.09412), at least 0: training images are blended in pairs, and so are their targets. Default 0: off. Common: 0.2; 0.8 in long trainings of large models.
    /// </summary>
    public double Mixup { get; set; }

    /// <summary>
    /// α of CutMix (arXiv 1905.04899), at least 0: a box of each training image comes from another one, and so does that part of its target. Default 0: off. Common: 1. Where Mixup
    /// is on too, each image has one or the other with equal probability.
    /// </summary>
    public double CutMix { get; set; }

    /// <summary>Probability, 0 to 1, that a training image is mixed where <see cref="Mixup"/> or <see cref="CutMix"/> is on. Default 1.</summary>
    public double MixupProbability { get; set; } = 1;

    /// <summary>Pixels by which training images are shifted at random, each way, with the mean colour moving in; at least 0. Default 0.</summary>
    public int RandomCropPadding { get; set; }

    /// <summary>
    /// Smallest part of a training image's area, above 0 to 1, that is cut out at a random place, of a random shape, and enlarged to the whole (random resized crop). Null (default): none.
    /// 0.08 is common for large photographs, 0.5 and more for small ones. Not together with <see cref="RandomCropPadding"/>.
    /// </summary>
    public double? RandomResizedCropScale { get; set; }

    /// <summary>Whether training images are mirrored left to right at random. Default false: it spoils digits and letters, and helps with most photographs.</summary>
    public bool HorizontalFlip { get; set; }

    /// <summary>
    /// How much brightness, contrast and saturation of training images change at random, each by a factor of up to 1 ± this, at least 0 (hue stays, as in timm). Default 0: not at all;
    /// 0.4 is common. Grey images have no saturation to change. Pixels are what <see cref="RandAugmentOperations"/> says.
    /// </summary>
    public double ColorJitter { get; set; }

    /// <summary>
    /// Operations that are drawn for each training image out of fourteen that move it, change its colours or its contrast (RandAugment, arXiv 1909.13719), at least 0. Default 0: off;
    /// 2 is common. Black and white are 0 and 255 for pictures and bytes, and the smallest and greatest number of the training data for other vectors.
    /// </summary>
    public int RandAugmentOperations { get; set; }

    /// <summary>How strong those operations are, 0 to 10, give or take a standard deviation of 0.5. Default 9, as for large models (timm's "rand-m9-mstd0.5-inc1").</summary>
    public double RandAugmentMagnitude { get; set; } = 9;

    /// <summary>
    /// Probability, 0 to 1, that a training image loses a rectangle of 2 % to a third of its area, which becomes noise (random erasing, arXiv 1708.04896). Default 0; 0.25 is common.
    /// </summary>
    public double RandomErasing { get; set; }

    /// <summary>Part of the training data set apart to validate on after every epoch, 0 to below 1; above 0 at least one row. Default 0. Without effect where <c>Fit</c> is given validation data.</summary>
    public double ValidationFraction { get; set; }

    /// <summary>When to stop before the last epoch; null (default) for never. Needs validation. With validation the weights of the best epoch are kept either way.</summary>
    public EarlyStopping? EarlyStopping { get; set; }

    /// <summary>What decides which epoch is the best on the validation data: the accuracy (default) or the loss.</summary>
    public MonitoredQuantity Monitor { get; set; }

    /// <summary>Seed of weights, order, dropout and augmentation. Null (default): the <see cref="MLContext"/>'s, and without one a new one each time.</summary>
    public int? Seed { get; set; }

    /// <summary>Type of the matrix products. Default: bfloat16 where the device has it in hardware (and on a CPU, the model is at least 256 wide), else float32.</summary>
    public Precision Precision { get; set; }

    /// <summary>Threads of one operation on the CPU, at least 1; null (default) leaves libtorch's setting, one per core. It is that of the thread that calls <c>Fit</c>: trainings at the same time each have their own, and the process keeps its setting.</summary>
    public int? Threads { get; set; }

    /// <summary>Batches made in the background while the model works, at least 1. Default 2.</summary>
    public int LookAhead { get; set; } = 2;

    /// <summary>
    /// Whether decoded images are kept in memory between epochs. Null (default): if they fit in <see cref="CacheLimit"/>; true: always; false: never, the data are read anew each epoch, and must come in the same
    /// order each time.
    /// </summary>
    public bool? CacheInMemory { get; set; }

    /// <summary>Memory for decoded images, those of training and of validation together, in bytes, at least 0. Default 4 GiB. Training images come first. Pictures and bytes take one byte a number, floats four.</summary>
    public long CacheLimit { get; set; } = 4L << 30;

    /// <summary>
    /// Images among which the next is drawn where they are not in memory, at least 1. Default 4096. Data that are sorted by class need a pool that spans several classes.
    /// </summary>
    public int ShufflePoolSize { get; set; } = 4096;

    /// <summary>Rows that are scored in one forward pass, at least 1. Default 64.</summary>
    public int PredictionBatchSize { get; set; } = 64;

    /// <summary>Steps between two progress reports within an epoch, at least 1. Default 50.</summary>
    public int ProgressInterval { get; set; } = 50;

    /// <summary>Called every <see cref="ProgressInterval"/> steps and at the end of every epoch, on the thread that trains; null (default) for no reports. The same appears as text in <see cref="MLContext.Log"/>.</summary>
    public Action<TrainingProgress>? Progress { get; set; }

    /// <summary>Ends training before its next batch. So does <c>MLContext.CancelExecution</c>.</summary>
    public CancellationToken CancellationToken { get; set; }

    /// <summary>Whether <c>Fit</c> throws an <see cref="OperationCanceledException"/> when training is cancelled (default), or returns the best model so far, if there has been a step.</summary>
    public CancellationBehavior OnCancellation { get; set; }

    /// <summary>
    /// Folder for checkpoints, made where it is missing; null (default) for none. Whatever ends the process, training can go on from the last one (<see cref="Resume"/>). One <c>Fit</c> at a time, and nothing else
    /// in it. A checkpoint takes some four times the memory of the weights.
    /// </summary>
    public string? CheckpointFolder { get; set; }

    /// <summary>Steps between two checkpoints, at least 1; null (default) for none within an epoch. Needs <see cref="CheckpointFolder"/>.</summary>
    public int? CheckpointEverySteps { get; set; }

    /// <summary>Epochs between two checkpoints, at least 1; null for none. Default 1; another needs <see cref="CheckpointFolder"/>. The end of training and its cancellation write one in any case.</summary>
    public int? CheckpointEveryEpochs { get; set; } = 1;

    /// <summary>Newest checkpoints that stay, at least 1. Default 2: should one be damaged, there is another. A different number needs <see cref="CheckpointFolder"/>.</summary>
    public int CheckpointsKept { get; set; } = 2;

    /// <summary>
    /// Whether <c>Fit</c> goes on where the newest readable checkpoint in <see cref="CheckpointFolder"/> stands; without one it starts from the beginning. Options and data must be those of the training that wrote
    /// it. On a CPU with the same <see cref="Threads"/> the result is the same, to the bit, as without interruption. Default false: then a folder with checkpoints is refused.
    /// </summary>
    public bool Resume { get; set; }

    /// <summary>The model's configuration for images and classes as the data have them; the estimator's own options fill in the rest.</summary>
    private protected abstract ImageClassifierConfig CreateConfigCore(int height, int width, int channels, int classCount);

    /// <summary>The model's configuration for images and classes as the data have them, checked.</summary>
    internal ImageClassifierConfig CreateConfig(ImageShape shape, int classCount) => CreateConfig(shape, classCount, config => config.Validate());

    private ImageClassifierConfig CreateConfig(ImageShape shape, int classCount, Action<ImageClassifierConfig> validate)
    {
        var config = CreateConfigCore(shape.Height, shape.Width, shape.Channels, classCount);
        validate(config);
        if (StartingPoint is { } start)
            config.RequireWeightsOf(start.Config);
        return config;
    }

    /// <summary>The model to start from; null for random weights.</summary>
    /// <exception cref="ArgumentException"><see cref="InitialModel"/> has no image classifier in it, or several.</exception>
    internal StartingPoint? StartingPoint => InitialModel is null ? null : StartingPoint.Find(InitialModel);

    /// <summary>The options of the training loop.</summary>
    internal TrainingOptions CreateTrainingOptions() => new()
    {
        Epochs = Epochs,
        GradientAccumulation = GradientAccumulation,
        Optimizer = Optimizer,
        Momentum = Momentum,
        Nesterov = Nesterov,
        LayerDecay = LayerDecay,
        LearningRate = LearningRate,
        FinalLearningRate = FinalLearningRate,
        LearningRateDecay = LearningRateDecay,
        WarmupFraction = WarmupFraction,
        WeightDecay = WeightDecay,
        GradientClipNorm = GradientClipNorm,
        EmaDecay = EmaDecay,
        EarlyStopping = EarlyStopping,
        Monitor = Monitor,
        ProgressInterval = ProgressInterval,
        OnCancellation = OnCancellation,
        Checkpoints = ContinuedTraining.CreateOptions(CheckpointFolder, CheckpointEverySteps, CheckpointEveryEpochs, CheckpointsKept, Resume),
    };

    /// <summary>The options that decide how weights change, by name: a training that is continued must have them all as they were.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Describe() => ContinuedTraining.Describe(this, WithoutInfluence);

    /// <summary>What happens to training images.</summary>
    /// <param name="pixels">How they are normalised.</param>
    internal ImageAugmentation CreateAugmentation(PixelScale pixels) => new()
    {
        Pixels = pixels,
        RandomResizedCrop = RandomResizedCropScale is { } scale ? new RandomResizedCrop { MinScale = scale } : null,
        CropPadding = RandomCropPadding,
        FlipProbability = HorizontalFlip ? 0.5 : 0,
        RandAugment = RandAugmentOperations > 0 ? new RandAugment { Operations = RandAugmentOperations, Magnitude = RandAugmentMagnitude, MagnitudeDeviation = 0.5 } : null,
        ColorJitter = ColorJitter > 0 ? new ColorJitter { Brightness = ColorJitter, Contrast = ColorJitter, Saturation = ColorJitter } : null,
        RandomErasing = RandomErasing > 0 ? new RandomErasing { Probability = RandomErasing, Fill = ErasingFill.Noise } : null,
    };

    /// <summary>How training images are mixed with one another.</summary>
    internal ImageMixing CreateMixing() => new() { MixupAlpha = Mixup, CutMixAlpha = CutMix, Probability = MixupProbability };

    /// <summary>A copy that later changes do not reach.</summary>
    internal ImageClassificationOptions Copy()
    {
        var copy = (ImageClassificationOptions)MemberwiseClone();
        copy.Pretraining = Pretraining?.Copy();
        return copy;
    }

    /// <summary>Checks all that can be checked before there are data.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value wanted.</exception>
    internal void Validate()
    {
        RequireName(LabelColumnName, nameof(LabelColumnName));
        RequireName(FeatureColumnName, nameof(FeatureColumnName));
        RequireName(ScoreColumnName, nameof(ScoreColumnName));
        RequireName(PredictedLabelColumnName, nameof(PredictedLabelColumnName));
        if (EmbeddingColumnName is { } embedding)
            RequireName(embedding, nameof(EmbeddingColumnName));
        RequireDifferent((ScoreColumnName, nameof(ScoreColumnName)), (PredictedLabelColumnName, nameof(PredictedLabelColumnName)), (EmbeddingColumnName, nameof(EmbeddingColumnName)));

        RequireAtLeast(1, ImageHeight ?? 1, nameof(ImageHeight));
        RequireAtLeast(1, ImageWidth ?? 1, nameof(ImageWidth));
        RequireAtLeast(1, Channels ?? 1, nameof(Channels));
        RequireAtLeast(1, BatchSize, nameof(BatchSize));
        OptionChecks.AtLeastAndBelow(0, 1, LabelSmoothing, nameof(LabelSmoothing));
        OptionChecks.AtLeast(0, Mixup, nameof(Mixup));
        OptionChecks.AtLeast(0, CutMix, nameof(CutMix));
        OptionChecks.Between(0, 1, MixupProbability, nameof(MixupProbability));
        RequireAtLeast(0, RandomCropPadding, nameof(RandomCropPadding));
        if (RandomResizedCropScale is { } scale)
        {
            OptionChecks.Above(0, scale, nameof(RandomResizedCropScale));
            OptionChecks.Between(0, 1, scale, nameof(RandomResizedCropScale));
            if (RandomCropPadding > 0)
            {
                throw new ArgumentException(
                    $"{nameof(RandomResizedCropScale)} is {scale} and {nameof(RandomCropPadding)} is {RandomCropPadding}; an image is cropped one way or the other: leave out one of them.");
            }
        }
        OptionChecks.AtLeast(0, ColorJitter, nameof(ColorJitter));
        RequireAtLeast(0, RandAugmentOperations, nameof(RandAugmentOperations));
        OptionChecks.Between(0, 10, RandAugmentMagnitude, nameof(RandAugmentMagnitude));
        OptionChecks.Between(0, 1, RandomErasing, nameof(RandomErasing));
        OptionChecks.AtLeastAndBelow(0, 1, ValidationFraction, nameof(ValidationFraction));
        RequireAtLeast(1, Threads ?? 1, nameof(Threads));
        RequireAtLeast(1, LookAhead, nameof(LookAhead));
        RequireAtLeast(0, CacheLimit, nameof(CacheLimit));
        RequireAtLeast(1, ShufflePoolSize, nameof(ShufflePoolSize));
        RequireAtLeast(1, PredictionBatchSize, nameof(PredictionBatchSize));
        OptionChecks.Defined(Resizing, nameof(Resizing));
        OptionChecks.Defined(Precision, nameof(Precision));
        OptionChecks.Defined(Monitor, nameof(Monitor));
        OptionChecks.Above(0, BackboneLearningRateScale, nameof(BackboneLearningRateScale));
        ContinuedTraining.RequireFolder(CheckpointFolder, CheckpointEverySteps, CheckpointEveryEpochs, CheckpointsKept, Resume);
        CreateTrainingOptions().Validate();
        Pretraining?.Validate();
        ValidateFrozen();

        // What the data decide is filled in with values that fit; the rest of the architecture is checked as it is, and what depends on the number of patches once
        // the size is known.
        var earlier = StartingPoint?.Config;
        var channels = Channels ?? earlier?.Channels ?? 3;
        if ((ImageHeight ?? earlier?.ImageHeight, ImageWidth ?? earlier?.ImageWidth) is not ({ } height, { } width))
        {
            var shape = new ImageShape(channels, ImageHeight ?? FittingSide(ImageWidth), ImageWidth ?? FittingSide(ImageHeight));
            _ = CreateConfig(shape, classCount: 2, config => config.ValidateArchitecture());
        }
        else
        {
            _ = CreateConfig(new ImageShape(channels, height, width), classCount: 2);
        }
    }

    /// <summary>A side in pixels that the architecture takes beside the other one, which is null where the options do not give it either.</summary>
    private protected abstract int FittingSide(int? other);

    private protected static void RequireAtLeast(long minimum, long value, string name)
    {
        if (value < minimum)
            throw new ArgumentException($"{name} is {value}; it must be at least {minimum}.");
    }

    private void ValidateFrozen()
    {
        const ModelParts All = ModelParts.Backbone | ModelParts.Head;
        if ((Frozen & ~All) != 0)
            throw new ArgumentException($"{nameof(Frozen)} is {Frozen}; it must be made of {nameof(ModelParts.Embedding)}, {nameof(ModelParts.Blocks)} and {nameof(ModelParts.Head)}.");
        if (Frozen == All)
            throw new ArgumentException($"{nameof(Frozen)} is {Frozen}, which is all of the model; leave out what shall learn.");
        if (Frozen != ModelParts.None && InitialModel is null)
            throw new ArgumentException($"{nameof(Frozen)} is {Frozen}, but {nameof(InitialModel)} is not set; random weights would stay as they are.");
    }

    private static void RequireDifferent(params ReadOnlySpan<(string? Name, string Option)> columns)
    {
        for (var i = 0; i < columns.Length; i++)
        {
            for (var j = i + 1; j < columns.Length; j++)
            {
                if (columns[i].Name is { } name && name == columns[j].Name)
                    throw new ArgumentException($"{columns[i].Option} and {columns[j].Option} are both '{name}'; they must differ.");
            }
        }
    }

    private static void RequireName(string name, string option)
    {
        if (string.IsNullOrWhiteSpace(name))
            throw new ArgumentException($"{option} is empty; it must name a column.");
    }
}
