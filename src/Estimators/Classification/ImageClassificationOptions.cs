using System.Globalization;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Interchange;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What all image classifiers can be told: columns, images, training, data. The architecture is each estimator's own.</summary>
public abstract class ImageClassificationOptions : TrainerOptions
{
    /// <summary>Pixels along the longer side of the largest images that the small architecture is chosen for.</summary>
    private protected const int LargestThumbnail = 64;

    // What there is to train on; until it is known, what a common case has.
    private (ImageShape Shape, int Images) data = (new(Channels: 3, Height: 224, Width: 224), 10_000);

    private protected ImageClassificationOptions()
    {
    }

    /// <summary>Column with the label, a key (<c>MapValueToKey</c>). Rows without a label are left out. Default "Label".</summary>
    public string LabelColumnName { get; set; } = "Label";

    /// <summary>
    /// Column with how much each row counts in the loss, a Single of at least 0; null (default) for all alike. Weights are divided by their
    /// mean over the training images, so that the learning rate means what it does without. Validation counts every row alike, whatever its
    /// weight, as ML.NET's <c>Evaluate</c> does; validation data need no such column.
    /// </summary>
    public string? ExampleWeightColumnName { get; set; }

    /// <summary>
    /// What classes count in the loss, by what they are called (where the label has no names, by their keys from 1): at least 0, and 1 for
    /// those that are not named. Null (default): 1. Multiplied with what rows weigh and with what <see cref="ClassBalancing"/> makes, and
    /// divided by the mean over the training images. Validation counts all classes alike.
    /// </summary>
    public IReadOnlyDictionary<string, double>? ClassWeights { get; set; }

    /// <summary>What is done where some classes have many more training images than others. Default: nothing.</summary>
    public ClassBalancing ClassBalancing { get; set; }

    /// <summary>
    /// Column with the images: pictures (<see cref="Microsoft.ML.Data.MLImage"/>) of any size, or a known-size vector of Single or Byte as
    /// <c>ExtractPixels</c> gives. Default "Features".
    /// </summary>
    public string FeatureColumnName { get; set; } = "Features";

    /// <summary>Column that receives the class probabilities, a vector of Single. Default "Score".</summary>
    public string ScoreColumnName { get; set; } = "Score";

    /// <summary>Column that receives the most probable class, a key like the label. Default "PredictedLabel".</summary>
    public string PredictedLabelColumnName { get; set; } = "PredictedLabel";

    /// <summary>
    /// Height of the model's images in pixels. Null (default): the column's own, and 224 for pictures whose column does not say. Pictures
    /// of another size are resized, vectors must have this one.
    /// </summary>
    [OutsideIdentity("the model's is in it")]
    public int? ImageHeight { get; set; }

    /// <summary>Width of the model's images in pixels; see <see cref="ImageHeight"/>.</summary>
    [OutsideIdentity("the model's is in it")]
    public int? ImageWidth { get; set; }

    /// <summary>Channels of the model's images: 1 for grey, 3 for colour. Null (default): the vector's own, and 3 for pictures.</summary>
    [OutsideIdentity("the model's are in it")]
    public int? Channels { get; set; }

    /// <summary>
    /// Side of a square patch in pixels, a divisor of the images' height and width. Null (default): that of <see cref="InitialModel"/>,
    /// without one the largest divisor that gives at least 7 patches a side, at most 16; images for which that makes more than 1,024
    /// patches are refused, since attention takes time with the square of that number. Where the architecture has a stem, it is a power of
    /// 2 and need not divide them.
    /// </summary>
    [OutsideIdentity("the model's is in it")]
    public int? PatchSize { get; set; }

    /// <summary>
    /// How pictures of another size are brought to the model's: the middle part (default), all of it with black bars, or all of it
    /// stretched.
    /// </summary>
    public ImageResizingEstimator.ResizingKind Resizing { get; set; } = ImageResizingEstimator.ResizingKind.IsoCrop;

    /// <summary>
    /// A model that was trained before, to go on from: an <see cref="ImageClassificationTransformer"/>, or a pipeline with one in it, such
    /// as <c>mlContext.Model.Load</c> returns. Null (default): from random weights. It is not changed. The architecture must be the same;
    /// what acts while training only (dropout, router noise, capacity, balance loss) may differ, and a sparse one may grow out of a dense
    /// one: a ViT-MoE out of a ViT, a Sparse-MLP out of an MLP-Mixer, every expert out of the dense layer in its place.
    /// </summary>
    /// <remarks>
    /// <para>Classes are told by their values, whatever their keys: where the training data have the same classes, the layer that reads
    /// them goes on too; where they have others, or where only one of the two has names for its classes, it starts anew.</para>
    /// <para>Images of another size are allowed where the architecture bears it: the position embeddings of a Transformer are interpolated
    /// bicubically. Other channels are not. Sizes that neither the options nor the column give are the earlier model's.</para>
    /// <para>The normalisation of the pixels stays the earlier model's, so the column must hold them in the same units; a warning says
    /// where its mean or deviation is far off.</para>
    /// </remarks>
    [OutsideIdentity("the hash of its weights is in it")]
    public ITransformer? InitialModel { get; set; }

    /// <summary>
    /// A network that another library trained, to go on from, such as a Vision Transformer of timm:
    /// <see cref="Interchange.PretrainedWeights.FromFolder"/>. Null (default): from random weights. Not together with
    /// <see cref="InitialModel"/>.
    /// </summary>
    /// <remarks>
    /// <para>Its architecture is the model's where <c>Architecture</c> is null, and must agree with it where it is given; the patches are
    /// its own. The head is new. Images may have another size, as with <see cref="InitialModel"/>.</para>
    /// <para>The learning rate is 1e-4 where none is given.</para>
    /// <para>Pixels, from 0 to 255 or from 0 to 1, are normalised as the network's configuration says; where it says nothing, by the
    /// training images.</para>
    /// </remarks>
    [OutsideIdentity("the hash of its weights is in it")]
    public PretrainedWeights? PretrainedWeights { get; set; }

    /// <summary>
    /// Where a sparse <c>Architecture</c> grows out of a dense <see cref="InitialModel"/> or <see cref="PretrainedWeights"/>: how much its
    /// experts differ from the dense layer that each begins as. Standard deviation of what is added to every weight, as a multiple of the
    /// deviation of the layer's weights, at least 0. Default 0: the routers alone tell them apart, and training does (arXiv 2212.05055).
    /// </summary>
    public double ExpertNoise { get; set; }

    /// <summary>
    /// Parts that stay as they are in <see cref="InitialModel"/> or <see cref="PretrainedWeights"/>, one of which must be set then.
    /// Default: none. They still drop values and add noise to routers while the rest learns, as far as the options say.
    /// </summary>
    public ModelParts Frozen { get; set; }

    /// <summary>
    /// What the learning rate of everything but the head is multiplied by, above 0. Default 1. Below 1 for a model that was trained before,
    /// whose head is new. Multiplies with <see cref="TrainingOptions.LayerDecay"/>.
    /// </summary>
    public double BackboneLearningRateScale { get; set; } = 1;

    /// <summary>
    /// What is learned without labels before the training; null (default) for nothing. It has checkpoints of its own, as often as the
    /// training's, in the folder "pretraining" within <see cref="TrainingOptions.Checkpoints"/>.
    /// </summary>
    public MoCoPretraining? Pretraining { get; set; }

    /// <summary>
    /// α of Mixup (arXiv 1710.09412), at least 0: training images are blended in pairs, and so are their targets. Null (default): chosen,
    /// so far 0: off. Common: 0.2; 0.8 in long trainings of large models.
    /// </summary>
    public double? Mixup { get; set; }

    /// <summary>
    /// α of CutMix (arXiv 1905.04899), at least 0: a box of each training image comes from another one, and so does that part of its
    /// target. Null (default): chosen, so far 0: off. Common: 1. Where Mixup is on too, each image has one or the other with equal
    /// probability.
    /// </summary>
    public double? CutMix { get; set; }

    /// <summary>
    /// Probability, 0 to 1, that a training image is mixed where <see cref="Mixup"/> or <see cref="CutMix"/> is on. Default 1.
    /// </summary>
    public double MixupProbability { get; set; } = 1;

    /// <summary>
    /// Pixels by which training images are shifted at random, each way, with the mean colour moving in; at least 0. Null (default): chosen:
    /// a fourteenth of the shorter side for models with a stem that start from random weights, else 0.
    /// </summary>
    public int? RandomCropPadding { get; set; }

    /// <summary>
    /// Smallest part of a training image's area, above 0 to 1, that is cut out at a random place, of a random shape, and enlarged to the
    /// whole (random resized crop). Null (default): none. 0.08 is common for large photographs, 0.5 and more for small ones. It is cut out
    /// of a picture at its own size, as it came, and not of the model's smaller copy; pictures count at their own size for
    /// <see cref="CacheLimit"/> then, and are read anew each epoch where they do not fit. Not together with
    /// <see cref="RandomCropPadding"/>.
    /// </summary>
    public double? RandomResizedCropScale { get; set; }

    /// <summary>
    /// Whether training images are mirrored left to right at random. Null (default): chosen, so far false: it spoils digits and letters,
    /// and helps with most photographs.
    /// </summary>
    public bool? HorizontalFlip { get; set; }

    /// <summary>
    /// Whether images are not mirrored at random in each epoch, but each at random in the first and then in every other one (alternating
    /// flips, arXiv 2404.00498): two epochs in a row show both sides of every image, which learns a little faster in short trainings.
    /// Default false. Mirrors, so that <see cref="HorizontalFlip"/> must not be false.
    /// </summary>
    public bool AlternatingFlips { get; set; }

    /// <summary>
    /// How much brightness, contrast and saturation of training images change at random, each by a factor of up to 1 ± this, at least 0
    /// (hue stays, as in timm). Null (default): chosen, so far 0: not at all; 0.4 is common. Grey images have no saturation to change.
    /// Pixels are what <see cref="RandAugmentOperations"/> says.
    /// </summary>
    public double? ColorJitter { get; set; }

    /// <summary>
    /// Operations that are drawn for each training image out of fourteen that move it, change its colours or its contrast (RandAugment,
    /// arXiv 1909.13719), at least 0. Null (default): chosen, so far 0: off; 2 is common. Black and white are 0 and 255 for pictures and
    /// bytes, and the smallest and greatest number of the training data for other vectors.
    /// </summary>
    public int? RandAugmentOperations { get; set; }

    /// <summary>
    /// How strong those operations are, 0 to 15, give or take a standard deviation of 0.5. Default 9, as for large models (timm's
    /// "rand-m9-mstd0.5-inc1"); above 10 its operations go on growing (<see cref="RandAugment"/>).
    /// </summary>
    public double RandAugmentMagnitude { get; set; } = 9;

    /// <summary>
    /// Probability, 0 to 1, that a training image loses a rectangle of 2 % to a third of its area, which becomes noise (random erasing,
    /// arXiv 1708.04896). Null (default): chosen, so far 0; 0.25 is common.
    /// </summary>
    public double? RandomErasing { get; set; }

    /// <summary>
    /// The views of an image whose scores are averaged: the image alone (default), with its mirror image (twice the time of scoring), or
    /// both shifted by a pixel besides (six times). Saved with the model; validation scores so too, which takes as many times as long.
    /// Mirrored digits and letters are others: for those not.
    /// </summary>
    public ScoringViews ScoringViews { get; set; }

    /// <summary>
    /// Whether decoded images are kept in memory between epochs. Null (default): if they fit in <see cref="CacheLimit"/>; true: always;
    /// false: never, the data are read anew each epoch, and must come in the same order each time.
    /// </summary>
    [OutsideIdentity("where images lie does not change them")]
    public bool? CacheInMemory { get; set; }

    /// <summary>
    /// Memory for decoded images, those of training and of validation together, in bytes, at least 0. Default 4 GiB. Training images come
    /// first. Pictures and bytes take one byte a number, floats four.
    /// </summary>
    [OutsideIdentity("where images lie does not change them")]
    public long CacheLimit { get; set; } = 4L << 30;

    /// <summary>
    /// Images among which the next is drawn where they are not in memory, at least 1. Default 4096. Data that are sorted by class need a
    /// pool that spans several classes.
    /// </summary>
    [OutsideIdentity("it is in it where it matters")]
    public int ShufflePoolSize { get; set; } = 4096;

    /// <summary>The architecture that was asked for; null where none was.</summary>
    private protected abstract ImageClassifierConfig? GivenArchitecture { get; }

    /// <summary>The architecture where nothing says another.</summary>
    /// <param name="isSmall">Whether images have at most <see cref="LargestThumbnail"/> pixels a side.</param>
    private protected abstract ImageClassifierConfig UsualArchitecture(bool isSmall);

    private ImageClassifierConfig UsualArchitecture(ImageShape shape) =>
        UsualArchitecture(Math.Max(shape.Height, shape.Width) <= LargestThumbnail);

    /// <summary>The model's configuration for images and classes as the data have them, checked.</summary>
    internal ImageClassifierConfig CreateConfig(ImageShape shape, int classCount) =>
        CreateConfig(shape, classCount, config => config.Validate());

    private ImageClassifierConfig CreateConfig(ImageShape shape, int classCount, Action<ImageClassifierConfig> validate)
    {
        var earlier = StartingPoint?.Config;
        var usual = UsualArchitecture(shape);
        var architecture = GivenArchitecture ?? (earlier?.GetType() == usual.GetType() ? earlier : usual);
        var config = (BalanceLossWeight is { } weight ? architecture.WithBalanceLossWeight(weight) : architecture) with
        {
            ImageHeight = shape.Height,
            ImageWidth = shape.Width,
            Channels = shape.Channels,
            ClassCount = classCount,
            PatchSize = PatchSize ?? earlier?.PatchSize ?? PatchSizes.Choose(shape.Height, shape.Width, architecture.Stem is not null),
        };
        validate(config);
        if (ScoringViews == ScoringViews.MirroredAndShifted && Math.Min(shape.Height, shape.Width) < 2)
            throw new ArgumentException(
                $"{nameof(ScoringViews)} is {ScoringViews}, but the images are {shape.Width}×{shape.Height}; such views want at least 2 "
                    + "pixels a side.");
        if (earlier is not null)
            config.RequireWeightsOf(earlier);
        if (ExpertNoise > 0 && (earlier is null || !config.GrowsOutOf(earlier)))
            throw new ArgumentException(
                $"{nameof(ExpertNoise)} is {ExpertNoise.ToString(CultureInfo.InvariantCulture)}, but no expert grows out of a dense layer: "
                    + $"it is for a sparse Architecture with a dense {nameof(InitialModel)} or {nameof(PretrainedWeights)}.");
        return config;
    }

    /// <summary>What was chosen for the model because nobody gave it.</summary>
    internal IEnumerable<ChosenOption> ChosenOfTheModel(ImageClassifierConfig config)
    {
        var start = StartingPoint;
        var ofStart = $"that of {start?.Option}";
        if (GivenArchitecture is null)
        {
            yield return new(
                "Architecture", config.GetType().Name[..^"Config".Length],
                start is not null ? ofStart
                : Math.Max(config.ImageHeight, config.ImageWidth) <= LargestThumbnail
                    ? $"Thumbnail, for images of up to {LargestThumbnail} pixels"
                : "Compact, for photographs");
        }
        if (PatchSize is null)
        {
            yield return new(
                nameof(PatchSize), config.PatchSize.ToString(CultureInfo.InvariantCulture),
                start is null ? $"it suits images of {config.ImageWidth}×{config.ImageHeight}" : ofStart);
        }
    }

    /// <summary>The model to start from; null for random weights.</summary>
    /// <exception cref="ArgumentException"><see cref="InitialModel"/> has no image classifier in it, or several.</exception>
    internal StartingPoint? StartingPoint =>
        InitialModel is not null ? EarlierModel.Find(InitialModel)
        : PretrainedWeights is not null ? new PublishedWeights(PretrainedWeights)
        : null;

    /// <summary>What is cut out of training images; null for nothing.</summary>
    internal RandomResizedCrop? Crop => RandomResizedCropScale is { } scale ? new RandomResizedCrop { MinScale = scale } : null;

    /// <summary>What happens to training images.</summary>
    /// <param name="pixels">How they are normalised.</param>
    internal ImageAugmentation CreateAugmentation(PixelScale pixels) =>
        new()
        {
            Pixels = pixels,
            RandomResizedCrop = Crop,
            CropPadding = RandomCropPadding ?? 0,
            FlipProbability = HorizontalFlip == true && !AlternatingFlips ? 0.5 : 0,
            RandAugment = RandAugmentOperations is > 0 and var operations
                ? new RandAugment
                {
                    Operations = operations,
                    Magnitude = RandAugmentMagnitude,
                    MagnitudeDeviation = 0.5,
                }
                : null,
            ColorJitter = ColorJitter is > 0 and var change
                ? new ColorJitter
                {
                    Brightness = change,
                    Contrast = change,
                    Saturation = change,
                }
                : null,
            RandomErasing = RandomErasing is > 0 and var probability
                ? new RandomErasing { Probability = probability, Fill = ErasingFill.Noise }
                : null,
        };

    /// <summary>How training images are mixed with one another.</summary>
    internal ImageMixing CreateMixing() => new() { MixupAlpha = Mixup ?? 0, CutMixAlpha = CutMix ?? 0, Probability = MixupProbability };

    /// <summary>Chooses what is null and to be chosen for data.</summary>
    /// <param name="shape">Their images.</param>
    /// <param name="countImages">Counts those that there are to train on; called where something is chosen by it.</param>
    /// <returns>The choices that were made.</returns>
    internal IReadOnlyList<ChosenOption> Settle(ImageShape shape, Func<int> countImages)
    {
        data.Shape = shape;
        if (IsForSmallData && (Epochs is null || BatchSize is null))
            data.Images = countImages();
        return Settle();
    }

    // A stem is what the recipe for small data was found with; a model that was trained before goes on more gently.
    private bool IsForSmallData =>
        StartingPoint is null && (GivenArchitecture ?? UsualArchitecture(data.Shape)).Stem is not null;

    private IEnumerable<RecipeStep> RecipeForSmallData
    {
        get
        {
            const string Stem = "found for models with a stem";
            var rows = string.Create(CultureInfo.InvariantCulture, $"it suits {data.Images:n0} images");
            yield return new(nameof(Epochs), SmallDataRecipe.Epochs(data.Images), rows);
            yield return new(nameof(BatchSize), SmallDataRecipe.BatchSize(data.Images), rows);
            // Whoever gives a rate and no optimizer means AdamW's: Muon has a rate of its own.
            if (LearningRate is null && Optimizer is null or OptimizerKind.Muon)
            {
                yield return new(nameof(Optimizer), OptimizerKind.Muon, Stem);
                yield return new(nameof(LearningRate), SmallDataRecipe.LearningRate, $"{Stem}, for what Muon leaves to AdamW");
            }
            yield return new(nameof(LabelSmoothing), SmallDataRecipe.LabelSmoothing, Stem);
            if (RandomResizedCropScale is null)
            {
                var shift = SmallDataRecipe.Shift(data.Shape);
                yield return new(nameof(RandomCropPadding), shift, $"it suits images of {data.Shape.Width}×{data.Shape.Height}");
            }
        }
    }

    /// <summary>Those of image classifiers first.</summary>
    internal override IEnumerable<RecipeStep> Recipe
    {
        get
        {
            const string Usual = "usual for image classifiers";
            const string Off = "off unless it is asked for";
            return
            [
                .. IsForSmallData ? RecipeForSmallData : [],
                .. PretrainedWeights is null
                    ? Enumerable.Empty<RecipeStep>()
                    : [new(nameof(LearningRate), 1e-4, "gentle, for weights that were trained before")],
                new(nameof(BatchSize), 64, Usual),
                new(nameof(LabelSmoothing), 0.1, Usual),
                new(nameof(Mixup), 0.0, Off),
                new(nameof(CutMix), 0.0, Off),
                new(nameof(RandomCropPadding), 0, Off),
                AlternatingFlips
                    ? new(nameof(HorizontalFlip), true, $"{nameof(AlternatingFlips)} is set")
                    : new(nameof(HorizontalFlip), false, "it spoils digits and letters"),
                new(nameof(ColorJitter), 0.0, Off),
                new(nameof(RandAugmentOperations), 0, Off),
                new(nameof(RandomErasing), 0.0, Off),
                .. base.Recipe,
            ];
        }
    }

    /// <summary>A copy that later changes do not reach.</summary>
    internal override ImageClassificationOptions Copy()
    {
        var copy = (ImageClassificationOptions)base.Copy();
        copy.Pretraining = Pretraining?.Copy();
        copy.ClassWeights = ClassWeights?.ToDictionary(StringComparer.Ordinal);
        return copy;
    }

    /// <summary>Checks all that can be checked before there are data.</summary>
    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        RequireName(LabelColumnName, nameof(LabelColumnName));
        RequireName(FeatureColumnName, nameof(FeatureColumnName));
        if (ExampleWeightColumnName is { } weight)
            RequireName(weight, nameof(ExampleWeightColumnName));
        foreach (var (name, value) in ClassWeights ?? new Dictionary<string, double>())
            OptionChecks.AtLeast(0, value, $"{nameof(ClassWeights)} of '{name}'");
        if (ClassWeights is { Count: > 0 } weights && weights.Values.All(value => value == 0))
            throw new ArgumentException(
                $"{nameof(ClassWeights)} has 0 for all {weights.Count} classes that it names; at least one above 0 is wanted.");
        OptionChecks.Defined(ClassBalancing, nameof(ClassBalancing));
        RequireName(ScoreColumnName, nameof(ScoreColumnName));
        RequireName(PredictedLabelColumnName, nameof(PredictedLabelColumnName));
        if (EmbeddingColumnName is { } embedding)
            RequireName(embedding, nameof(EmbeddingColumnName));
        RequireDifferent(
            (ScoreColumnName, nameof(ScoreColumnName)),
            (PredictedLabelColumnName, nameof(PredictedLabelColumnName)),
            (EmbeddingColumnName, nameof(EmbeddingColumnName)));

        OptionChecks.AtLeast(1, ImageHeight ?? 1, nameof(ImageHeight));
        OptionChecks.AtLeast(1, ImageWidth ?? 1, nameof(ImageWidth));
        OptionChecks.AtLeast(1, Channels ?? 1, nameof(Channels));
        OptionChecks.AtLeast(0, Mixup ?? 0, nameof(Mixup));
        OptionChecks.AtLeast(0, CutMix ?? 0, nameof(CutMix));
        OptionChecks.Between(0, 1, MixupProbability, nameof(MixupProbability));
        OptionChecks.AtLeast(0, RandomCropPadding ?? 0, nameof(RandomCropPadding));
        if (RandomResizedCropScale is { } scale)
        {
            OptionChecks.Above(0, scale, nameof(RandomResizedCropScale));
            OptionChecks.Between(0, 1, scale, nameof(RandomResizedCropScale));
            if (RandomCropPadding > 0)
            {
                throw new ArgumentException(
                    $"{nameof(RandomResizedCropScale)} is {scale} and {nameof(RandomCropPadding)} is {RandomCropPadding}; an image is "
                        + "cropped one way or the other: leave out one of them.");
            }
        }
        if (AlternatingFlips && HorizontalFlip == false)
            throw new ArgumentException(
                $"{nameof(AlternatingFlips)} is true and {nameof(HorizontalFlip)} is false; set it to true, or leave it out.");
        OptionChecks.AtLeast(0, ColorJitter ?? 0, nameof(ColorJitter));
        OptionChecks.AtLeast(0, RandAugmentOperations ?? 0, nameof(RandAugmentOperations));
        OptionChecks.Between(0, 15, RandAugmentMagnitude, nameof(RandAugmentMagnitude));
        OptionChecks.Between(0, 1, RandomErasing ?? 0, nameof(RandomErasing));
        OptionChecks.Defined(ScoringViews, nameof(ScoringViews));
        OptionChecks.AtLeast(0, CacheLimit, nameof(CacheLimit));
        OptionChecks.AtLeast(1, ShufflePoolSize, nameof(ShufflePoolSize));
        OptionChecks.Defined(Resizing, nameof(Resizing));
        OptionChecks.Above(0, BackboneLearningRateScale, nameof(BackboneLearningRateScale));
        OptionChecks.AtLeast(0, ExpertNoise, nameof(ExpertNoise));
        if (InitialModel is not null && PretrainedWeights is not null)
            throw new ArgumentException(
                $"{nameof(InitialModel)} and {nameof(PretrainedWeights)} are both set; a training starts from one of them.");
        Pretraining?.Validate();
        Pretraining?.RequireNothingOfTheTraining();
        ValidateFrozen();

        // What the data decide is filled in with values that fit; the rest of the architecture is checked as it is, and what depends on the
        // number of patches once the size is known.
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

    // A side in pixels that the patches take beside the other one, which is null where the options do not give it either.
    private int FittingSide(int? other)
    {
        var earlier = StartingPoint?.Config;
        var architecture = GivenArchitecture ?? earlier ?? UsualArchitecture(data.Shape);
        return PatchSizes.FittingSide(PatchSize ?? earlier?.PatchSize, other, architecture.Stem is not null);
    }

    private void ValidateFrozen()
    {
        const ModelParts All = ModelParts.Backbone | ModelParts.Head;
        if ((Frozen & ~All) != 0)
            throw new ArgumentException(
                $"{nameof(Frozen)} is {Frozen}; it must be made of {nameof(ModelParts.Embedding)}, {nameof(ModelParts.Blocks)} and "
                    + $"{nameof(ModelParts.Head)}.");
        if (Frozen == All)
            throw new ArgumentException($"{nameof(Frozen)} is {Frozen}, which is all of the model; leave out what shall learn.");
        if (Frozen != ModelParts.None && InitialModel is null && PretrainedWeights is null)
            throw new ArgumentException(
                $"{nameof(Frozen)} is {Frozen}, but neither {nameof(InitialModel)} nor {nameof(PretrainedWeights)} is set; random weights "
                    + "would stay as they are.");
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
