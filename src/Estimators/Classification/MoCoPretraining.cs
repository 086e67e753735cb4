using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Pretraining;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Pre-training of an image classifier without labels, before it is trained with them: MoCo v3 (arXiv 2104.02057), as the Sparse-MLP paper does it. Worth its time where many images have no
/// label. The defaults suit small images and a CPU.
/// </summary>
public sealed class MoCoPretraining
{
    private const double SideOfTheBlur = 224;   // what MoCo's blur of up to 2 pixels is for
    private const string CheckpointSubfolder = "pretraining";

    /// <summary>
    /// Images to pre-train on, in a column named and typed like the training data's; labels are not read, and there need be none. Null (default): the images of the training data.
    /// </summary>
    [JsonIgnore]   // checkpoints compare the options as JSON, and the data by what they hold
    public IDataView? UnlabeledData { get; set; }

    /// <summary>Passes over the images, at least 1. Default 20.</summary>
    public int Epochs { get; set; } = 20;

    /// <summary>Images of a step, at least 2: each is told apart from the others. Default 128. Images that do not fill a batch at the end of an epoch are left out of it.</summary>
    public int BatchSize { get; set; } = 128;

    /// <summary>The optimizer. Default: AdamW; the Sparse-MLP paper has LAMB.</summary>
    public OptimizerKind Optimizer { get; set; }

    /// <summary>Highest learning rate, at least 0. Default 1e-3.</summary>
    public double LearningRate { get; set; } = 1e-3;

    /// <summary>Learning rate of the last step, at least 0. Default 1e-5. Where <see cref="LearningRate"/> is lower than this, the rate does not fall.</summary>
    public double FinalLearningRate { get; set; } = 1e-5;

    /// <summary>Part of all steps in which the learning rate climbs, 0 to 1. Default 0.1.</summary>
    public double WarmupFraction { get; set; } = 0.1;

    /// <summary>Weight decay, at least 0. Default 0.1.</summary>
    public double WeightDecay { get; set; } = 0.1;

    /// <summary>Temperature of the contrastive loss, above 0. Default 0.2; the Sparse-MLP paper has 1.</summary>
    public double Temperature { get; set; } = 0.2;

    /// <summary>Momentum of the key encoder at the start, 0 to below 1; it rises to 1. Default 0.99.</summary>
    public double Momentum { get; set; } = 0.99;

    /// <summary>Hidden width of the projection and prediction heads, at least 1. Default 512; the papers' large models have 4096.</summary>
    public int HiddenWidth { get; set; } = 512;

    /// <summary>Width of the vectors that are compared, at least 1. Default 128; the papers' large models have 256.</summary>
    public int OutputWidth { get; set; } = 128;

    /// <summary>Whether the embedding of the patches stays as it was made at random during pre-training. Default false.</summary>
    public bool FreezePatchEmbedding { get; set; }

    /// <summary>Smallest part of an image's area that a view shows, above 0 to 1. Default 0.2; MoCo v3 has 0.08, for photographs of 224 pixels.</summary>
    public double MinCropScale { get; set; } = 0.2;

    /// <summary>Whether views are mirrored at random. Default true.</summary>
    public bool HorizontalFlip { get; set; } = true;

    /// <summary>What else makes the first view. Null (default): MoCo v3's, with the blur scaled to the images. One that is given takes the place of crop and flip too.</summary>
    public ImageAugmentation? FirstView { get; set; }

    /// <summary>What else makes the second view; see <see cref="FirstView"/>.</summary>
    public ImageAugmentation? SecondView { get; set; }

    /// <summary>Called every few steps and at the end of every epoch of the pre-training, on the thread that trains; null (default) for no reports.</summary>
    [JsonIgnore]
    public Action<TrainingProgress>? Progress { get; set; }

    internal MoCoPretraining Copy() => (MoCoPretraining)MemberwiseClone();

    internal void Validate()
    {
        if (BatchSize < 2)
            throw new ArgumentException($"{nameof(BatchSize)} of the pre-training is {BatchSize}; it must be at least 2.");
        OptionChecks.Above(0, MinCropScale, nameof(MinCropScale));
        OptionChecks.Between(0, 1, MinCropScale, nameof(MinCropScale));
        CreateTrainingOptions(checkpoints: null).Validate();
        CreateMoCoOptions(new PixelScale([0.5f], [0.5f]), side: 28).Validate();
    }

    /// <param name="checkpoints">Those of the training that comes after it; null for none.</param>
    internal TrainingOptions CreateTrainingOptions(CheckpointOptions? checkpoints) => new()
    {
        Epochs = Epochs,
        Optimizer = Optimizer,
        LearningRate = LearningRate,
        FinalLearningRate = FinalLearningRate,
        WarmupFraction = WarmupFraction,
        WeightDecay = WeightDecay,
        Checkpoints = checkpoints is null ? null : checkpoints with { Folder = Path.Combine(checkpoints.Folder, CheckpointSubfolder) },
    };

    /// <param name="pixels">How the images are normalised.</param>
    /// <param name="side">Their longer side in pixels.</param>
    internal MoCoOptions CreateMoCoOptions(PixelScale pixels, int side) => new()
    {
        FirstView = View(FirstView, ImageAugmentation.MoCoV3First, pixels, side),
        SecondView = View(SecondView, ImageAugmentation.MoCoV3Second, pixels, side),
        Temperature = Temperature,
        Momentum = Momentum,
        HiddenWidth = HiddenWidth,
        OutputWidth = OutputWidth,
        FreezePatchEmbedding = FreezePatchEmbedding,
    };

    private ImageAugmentation View(ImageAugmentation? given, ImageAugmentation standard, PixelScale pixels, int side)
    {
        if (given is not null)
            return given with { Pixels = given.Pixels ?? pixels };
        var blur = standard.GaussianBlur!;
        return standard with
        {
            Pixels = pixels,
            RandomResizedCrop = standard.RandomResizedCrop! with { MinScale = MinCropScale },
            FlipProbability = HorizontalFlip ? standard.FlipProbability : 0,
            GaussianBlur = blur with { MaxSigma = Math.Max(blur.MinSigma, blur.MaxSigma * side / SideOfTheBlur) },
        };
    }
}
