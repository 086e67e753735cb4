using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Samples.Comparison;

namespace SparseMlpComparison;

/// <summary>
/// The comparison and the ablations of the Sparse-MLP paper (arXiv 2109.02008, section 3), at a size that two cores train. No test
/// image chose anything.
/// </summary>
internal sealed class ExperimentCatalog
{
    /// <summary>The name of the Sparse-MLP that the others are compared with.</summary>
    public const string MainVariant = "Sparse-MLP";

    // 16 patches, which two cores train three times as fast as the 49 that the estimator would choose.
    private const int PatchesPerSide = 4;
    private const int AblationImages = 4000;
    private const int AblationEpochs = 5;

    /// <summary>The names of the ablations.</summary>
    public static IReadOnlyList<string> AblationNames { get; } = ["experts", "chosen", "position", "represent"];

    /// <summary>Makes the experiments.</summary>
    /// <param name="side">Height and width of the images in pixels.</param>
    public ExperimentCatalog(int side)
    {
        var patch = side / PatchesPerSide;
        var sparse = SparseMlpConfig.Small with { PatchSize = patch };
        var dense = sparse with { SparseBlocks = BlockPositions.None };
        var main = Variant.SparseMlp(MainVariant, sparse);

        Models = new(
            "models", "Sparse-MLP, and dense Mixers of its width and of its parameters",
            "On ImageNet-1K, Sparse-B is 2.0 points above Mixer-B with 1.17 of its parameters (77.9 to 75.9), and Sparse-L 2.5 points "
                + "above Mixer-L with 0.63 of its parameters (79.2 to 76.7).",
            TrainingImages: 8000, Epochs: 6,
            [
                Variant.SparseMlp("Mixer", dense),
                Variant.SparseMlp("wider Mixer", dense with { Width = 104, SpatialWidth = 52, ChannelWidth = 416 }),
                main,
            ])
        { HeldOutImages = 0 };

        Labels = new(
            "labels", "1,000 labels, with and without pre-training",
            "All of its models are pre-trained with MoCo v3.",
            TrainingImages: 1000, Epochs: 25,
            [
                Variant.SparseMlp("Sparse-MLP, labels only", sparse),
                Variant.SparseMlp("Sparse-MLP, MoCo v3 first", sparse) with { Pretrained = true },
            ])
        { HeldOutImages = 0, LearningRate = 1e-3, UnlabelledImages = 12_000, PretrainingEpochs = 10, PretrainingCropScale = 0.4 };

        Ablations =
        [
            Ablation(
                "experts", "Number of experts",
                "4, 8 and 16 spatial experts give about 76.3, 77.9 and 78.2; 4, 8 and 16 channel experts 77.9, about 77.2 and 76.5.",
                [
                    main,   // 4 spatial and 4 channel experts
                    Variant.SparseMlp("2 spatial experts", sparse with { SpatialExperts = 2 }),
                    Variant.SparseMlp("8 spatial experts", sparse with { SpatialExperts = 8 }),
                    Variant.SparseMlp("2 channel experts", sparse with { ChannelExperts = 2 }),
                    Variant.SparseMlp("8 channel experts", sparse with { ChannelExperts = 8 }),
                ]),
            Ablation(
                "chosen", "Number of experts that are chosen",
                "One or two spatial experts for a channel give 77.9 both; one channel expert for a patch 77.0, two 77.9.",
                [
                    main,   // 1 spatial expert, 2 channel experts
                    Variant.SparseMlp("2 spatial experts for a channel", sparse with { SpatialExpertsPerItem = 2 }),
                    Variant.SparseMlp("1 channel expert for a patch", sparse with { ChannelExpertsPerItem = 1 }),
                ]),
            Ablation(
                "position", "Which blocks are sparse",
                "The last two blocks give 77.9, none 75.9, the first two 75.5, the last four 78.3.",
                [
                    main,   // the last two
                    Variant.SparseMlp("no block: Mixer", dense),
                    Variant.SparseMlp("the first 2 blocks", sparse with { SparseBlocks = BlockPositions.First(2) }),
                    Variant.SparseMlp("the last 4 blocks", sparse with { SparseBlocks = BlockPositions.Last(4) }),
                ]),
            Ablation(
                "represent", "With re-represent layers, and without",
                "With them 77.9 in 55.5 core-days of pre-training, without them 76.9 in 79.9.",
                [
                    main,
                    Variant.SparseMlp("patches only", sparse with { ReRepresented = ReRepresentedAxes.Patches }),
                    Variant.SparseMlp("without re-represent layers", sparse with { ReRepresented = ReRepresentedAxes.None }),
                ]),
        ];
    }

    /// <summary>The main comparison.</summary>
    public Experiment Models { get; }

    /// <summary>What pre-training gives where labels are few.</summary>
    public Experiment Labels { get; }

    /// <summary>The ablations, by <see cref="AblationNames"/>.</summary>
    public IReadOnlyList<Experiment> Ablations { get; }

    private static Experiment Ablation(string name, string title, string paper, IReadOnlyList<Variant> variants) =>
        new(name, title, paper, AblationImages, AblationEpochs, variants) { HeldOutImages = 0 };
}
