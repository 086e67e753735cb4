using System.Globalization;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Pretraining;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Pre-training of an image classifier without labels, before it is trained with them: MoCo v3 (arXiv 2104.02057), as the Sparse-MLP paper
/// does it. Worth its time where many images have no label. The defaults suit small images and a CPU.
/// </summary>
public sealed class MoCoPretraining : TrainingOptions
{
    private const double SideOfTheBlur = 224;   // what MoCo's blur of up to 2 pixels is for
    private const string CheckpointSubfolder = "pretraining";

    /// <summary>
    /// Chosen are 20 epochs of batches of 128, a tenth of all updates as warm-up and a weight decay of 0.1, unless others are set. Images
    /// that do not fill a batch at the end of an epoch are left out of it. The Sparse-MLP paper has LAMB.
    /// </summary>
    public MoCoPretraining()
    {
    }

    /// <summary>
    /// Images to pre-train on, in a column named and typed like the training data's; labels are not read, and there need be none. Null
    /// (default): the images of the training data.
    /// </summary>
    [OutsideIdentity("its images are in it")]
    public IDataView? UnlabeledData { get; set; }

    /// <summary>Temperature of the contrastive loss, above 0. Default 0.2; the Sparse-MLP paper has 1.</summary>
    public double Temperature { get; set; } = 0.2;

    /// <summary>Momentum of the key encoder at the start, 0 to below 1; it rises to 1. Default 0.99.</summary>
    public double KeyMomentum { get; set; } = 0.99;

    /// <summary>Hidden width of the projection and prediction heads, at least 1. Default 512; the papers' large models have 4096.</summary>
    public int HiddenWidth { get; set; } = 512;

    /// <summary>Width of the vectors that are compared, at least 1. Default 128; the papers' large models have 256.</summary>
    public int OutputWidth { get; set; } = 128;

    /// <summary>Whether the embedding of the patches stays as it was made at random during pre-training. Default false.</summary>
    public bool FreezePatchEmbedding { get; set; }

    /// <summary>
    /// Smallest part of an image's area that a view shows, above 0 to 1. Default 0.2; MoCo v3 has 0.08, for photographs of 224 pixels.
    /// </summary>
    public double MinCropScale { get; set; } = 0.2;

    /// <summary>Whether views are mirrored at random. Default true.</summary>
    public bool HorizontalFlip { get; set; } = true;

    /// <summary>
    /// Whether views change colours: other brightness, contrast, saturation and hue, grey and solarised ones. Default true, as in MoCo v3;
    /// false where classes differ in colour.
    /// </summary>
    public bool ColorChanges { get; set; } = true;

    /// <summary>
    /// Called every few steps and at the end of every epoch of the pre-training, on the thread that trains; null (default) for no reports.
    /// </summary>
    [OutsideIdentity("reports change no weight")]
    public Action<TrainingProgress>? Progress { get; set; }

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        if (BatchSize is < 2)
            throw new ArgumentException(
                $"{nameof(BatchSize)} of the pre-training is {BatchSize}; it must be at least 2: each image is told apart from the "
                    + "others.");
        OptionChecks.Above(0, MinCropScale, nameof(MinCropScale));
        OptionChecks.Between(0, 1, MinCropScale, nameof(MinCropScale));
        CreateMoCoOptions(new PixelScale([0.5f], [0.5f]), side: 28).Validate();
    }

    /// <summary>
    /// Checks that nothing is set which the training after it says for both, or which there is nothing for in a training without labels.
    /// </summary>
    /// <exception cref="ArgumentException">Something is.</exception>
    internal void RequireNothingOfTheTraining()
    {
        const string OfTheTraining = "that of the training holds for its pre-training too";
        Refuse(Seed is not null, nameof(Seed), Seed, OfTheTraining);
        Refuse(Threads is not null, nameof(Threads), Threads, OfTheTraining);
        Refuse(Precision != default, nameof(Precision), Precision, OfTheTraining);
        Refuse(Checkpoints is not null, nameof(Checkpoints), Checkpoints?.Folder, OfTheTraining);
        Refuse(OnCancellation != default, nameof(OnCancellation), OnCancellation, "a model that was not trained yet is of no use");
        const string NoValidation = "nothing is validated without labels";
        Refuse(ValidationFraction != 0, nameof(ValidationFraction), ValidationFraction, NoValidation);
        Refuse(EarlyStopping is not null, nameof(EarlyStopping), EarlyStopping?.Patience, NoValidation);
        Refuse(Monitor != default, nameof(Monitor), Monitor, NoValidation);
        Refuse(!KeepBestWeights, nameof(KeepBestWeights), KeepBestWeights, NoValidation);
        Refuse(LabelSmoothing is not null, nameof(LabelSmoothing), LabelSmoothing, "there are no labels");
        Refuse(BalanceLossWeight is not null, nameof(BalanceLossWeight), BalanceLossWeight, OfTheTraining);
        Refuse(LayerDecay != 1, nameof(LayerDecay), LayerDecay, "all layers are pre-trained alike");

        static void Refuse(bool isSet, string name, object? value, string reason)
        {
            if (isSet)
                throw new ArgumentException(
                    string.Create(CultureInfo.InvariantCulture, $"{name} of the pre-training is {value}, but {reason}; leave it out."));
        }
    }

    /// <summary>Those of the pre-training first.</summary>
    internal override IEnumerable<RecipeStep> Recipe
    {
        get
        {
            const string Usual = "usual for MoCo v3 on small images";
            return
            [
                new(nameof(Epochs), 20, Usual),
                new(nameof(BatchSize), 128, Usual),
                new(nameof(WarmupFraction), 0.1, Usual),
                new(nameof(WeightDecay), 0.1, Usual),
                .. base.Recipe.Where(step => step.Option != nameof(LabelSmoothing)),
            ];
        }
    }

    /// <summary>A copy that later changes do not reach.</summary>
    internal override MoCoPretraining Copy() => (MoCoPretraining)base.Copy();

    /// <summary>The same, with checkpoints beside those of the training that comes after it.</summary>
    /// <param name="checkpoints">Those; null for none.</param>
    internal MoCoPretraining Beside(CheckpointOptions? checkpoints)
    {
        var copy = Copy();
        copy.Checkpoints = checkpoints is null ? null : checkpoints with { Folder = Path.Combine(checkpoints.Folder, CheckpointSubfolder) };
        return copy;
    }

    /// <param name="pixels">How the images are normalised.</param>
    /// <param name="side">Their longer side in pixels.</param>
    internal MoCoOptions CreateMoCoOptions(PixelScale pixels, int side) => new()
    {
        FirstView = View(ImageAugmentation.MoCoV3First, pixels, side),
        SecondView = View(ImageAugmentation.MoCoV3Second, pixels, side),
        Temperature = Temperature,
        KeyMomentum = KeyMomentum,
        HiddenWidth = HiddenWidth,
        OutputWidth = OutputWidth,
        FreezePatchEmbedding = FreezePatchEmbedding,
    };

    private ImageAugmentation View(ImageAugmentation standard, PixelScale pixels, int side)
    {
        var blur = standard.GaussianBlur!;
        return standard with
        {
            Pixels = pixels,
            RandomResizedCrop = standard.RandomResizedCrop! with { MinScale = MinCropScale },
            FlipProbability = HorizontalFlip ? standard.FlipProbability : 0,
            ColorJitter = ColorChanges ? standard.ColorJitter : null,
            Grayscale = ColorChanges ? standard.Grayscale : null,
            Solarize = ColorChanges ? standard.Solarize : null,
            GaussianBlur = blur with { MaxSigma = Math.Max(blur.MinSigma, blur.MaxSigma * side / SideOfTheBlur) },
        };
    }
}
