using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

[TestClass]
public sealed class ImageClassifierConfigTests
{
    [TestMethod]
    public void JsonRoundTripKeepsEveryProperty()
    {
        ImageClassifierConfig[] configs =
        [
            .. ImageClassifierPresets.All.Select(preset => preset.Config),
            WideNetConfig.Tiny with
            {
                TrainingCapacity = null,
                EvaluationCapacity = new ExpertCapacity(2, CapacityRule.Literal, CapacityPriority.LargestGate),
                Dropout = 0.25,
                DropPath = 0.125,
                RouterNoise = 0.5,
            },
            SparseMlpConfig.Tiny with
            {
                SparseBlocks = BlockPositions.At(0, 1),
                InnerPatches = 5,
                InnerWidth = 7,
                TrainingCapacity = ExpertCapacity.VMoe,
                BalanceLossWeight = 0.1,
            },
            SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.First(2), ReRepresented = ReRepresentedAxes.Patches },
            SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.At() },
            MlpMixerConfig.Tiny with { Stem = new() { FirstChannels = 5, Halving = StemHalving.Stride } },
        ];
        foreach (var config in configs)
            Assert.AreEqual(config, ImageClassifierConfig.FromJson(config.ToJson()));
    }

    [TestMethod]
    [DataRow("", "not valid")]
    [DataRow("null", "empty")]
    [DataRow("{}", "not valid")]
    [DataRow("""{"architecture":"Unknown"}""", "Unknown")]
    [DataRow("""{"architecture":"WideNet","Colour":3}""", "Colour")]
    [DataRow("""{"architecture":"WideNet","Blocks":"many"}""", "Blocks")]
    [DataRow("""{"architecture":"WideNet","Width":-4}""", "Width is -4")]
    [DataRow("""{"architecture":"SparseMlp","SparseBlocks":"some"}""", "'some' does not say which blocks")]
    [DataRow("""{"architecture":"SparseMlp","SparseBlocks":"last -1"}""", "'last -1' does not say which blocks")]
    [DataRow("""{"architecture":"SparseMlp","SparseBlocks":3}""", "not valid")]
    [DataRow("""{"architecture":"SparseMlp","SparseBlocks":null}""", "not valid")]
    public void BadJsonIsRefused(string json, string message)
    {
        var error = Assert.ThrowsExactly<InvalidDataException>(() => ImageClassifierConfig.FromJson(json));
        Assert.Contains(message, error.Message);
    }

    [TestMethod]
    public void AutomaticPrecisionKeepsNarrowModelsInFloat32()
    {
        Assert.AreEqual(ScalarType.Float32, WideNetConfig.Small.ComputeType(Precision.Auto, CPU));
        Assert.AreEqual(ScalarType.BFloat16, WideNetConfig.Small.ComputeType(Precision.BFloat16, CPU));
        Assert.AreEqual(Precision.Auto.Resolve(CPU), WideNetConfig.Base.ComputeType(Precision.Auto, CPU));
        Assert.AreEqual(Precision.Auto.Resolve(CPU), WideNetConfig.Thumbnail.ComputeType(Precision.Auto, CPU));
        Assert.AreEqual(ScalarType.Float32, (WideNetConfig.Tiny with { Stem = new() }).ComputeType(Precision.Auto, CPU));
    }

    public static IEnumerable<object[]> Invalid =>
        [
            [WideNetConfig.Tiny with { PatchSize = 3 }, "8×8 pixels and PatchSize is 3"],
            [WideNetConfig.Tiny with { ImageWidth = 10 }, "10×8 pixels and PatchSize is 4"],
            [WideNetConfig.Tiny with { ImageHeight = 0 }, "ImageHeight is 0"],
            [WideNetConfig.Tiny with { Channels = 0 }, "Channels is 0"],
            [WideNetConfig.Tiny with { ClassCount = 1 }, "ClassCount is 1; it must be at least 2"],
            [WideNetConfig.Tiny with { Heads = 3 }, "Width is 16 and Heads is 3"],
            [WideNetConfig.Tiny with { Blocks = 0 }, "Blocks is 0"],
            [WideNetConfig.Tiny with { Experts = -1 }, "Experts is -1"],
            [WideNetConfig.Tiny with { ExpertsPerToken = 5 }, "ExpertsPerToken is 5; it must be between 1 and Experts (4)"],
            [WideNetConfig.Tiny with { ExpertWidth = 0 }, "ExpertWidth is 0"],
            [WideNetConfig.Tiny with { Dropout = 1 }, "Dropout is 1"],
            [WideNetConfig.Tiny with { Dropout = double.NaN }, "Dropout is NaN"],
            [WideNetConfig.Tiny with { DropPath = 1 }, "DropPath is 1"],
            [WideNetConfig.Tiny with { PositionDeviation = -1 }, "PositionDeviation is -1"],
            [WideNetConfig.Tiny with { BalanceLossWeight = -0.01 }, "BalanceLossWeight is -0.01"],
            [WideNetConfig.Tiny with { TrainingCapacity = new ExpertCapacity(0.9) }, "capacity factor is 0.9"],
            [WideNetConfig.Tiny with { Stem = new(), PatchSize = 16 }, "8×8 pixels, PatchSize is 16 and Stem is set; the convolutions would shrink"],
            [WideNetConfig.Tiny with { Stem = new(), ImageWidth = 3 }, "3×8 pixels, PatchSize is 4 and Stem is set; the convolutions would shrink"],
            [WideNetConfig.Tiny with { Stem = new(), PatchSize = 6 }, "PatchSize is 6 and Stem is set; convolutions halve the image, so that it must be a power of 2"],
            [MlpMixerConfig.Tiny with { Stem = new() { FirstChannels = 0 } }, "Stem.FirstChannels is 0; it must be at least 1"],
            [MlpMixerConfig.Tiny with { Stem = new() { Halving = (StemHalving)2 } }, "Stem.Halving is 2; it must be one of MaxPooling, Stride"],
            [WideNetConfig.Tiny with { Stem = new(), Blocks = -1 }, "Blocks is -1; it must be at least 0"],
            [MlpMixerConfig.Tiny with { Pooling = Pooling.ClassToken }, "Pooling is ClassToken, but a Mixer has no class token"],
            [WideNetConfig.Tiny with { Pooling = (Pooling)3 }, "Pooling is 3; it must be one of Mean, ClassToken, Attention"],
            [WideNetConfig.Tiny with { Pooling = Pooling.ClassToken }, "Pooling is ClassToken, but ClassToken is None"],
            [WideNetConfig.Tiny with { RoutingGroups = 2 }, "RoutingGroups is 2; it must divide Blocks (3)"],
            [WideNetConfig.Tiny with { Experts = 0, RoutingGroups = 1 }, "does not route"],
            [WideNetConfig.Tiny with { ShareParameters = false, RoutingGroups = 1 }, "RoutingGroups is 1 and ShareParameters is false"],
            [VisionTransformerConfig.Tiny with { MixtureBlocks = 4 }, "MixtureBlocks is 4; it must be between 0 and Blocks (3)"],
            [VisionTransformerConfig.Tiny with { Experts = 4 }, "MixtureBlocks is 0 and Experts is 4"],
            [MlpMixerConfig.Tiny with { SpatialWidth = 0 }, "SpatialWidth is 0"],
            [MlpMixerConfig.Tiny with { ChannelWidth = 0 }, "ChannelWidth is 0"],
            [MlpMixerConfig.Tiny with { Blocks = 0 }, "Blocks is 0"],
            [MlpMixerConfig.Tiny with { Width = 0 }, "Width is 0"],
            [MlpMixerConfig.Tiny with { DropPath = 1 }, "DropPath is 1"],
            [SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.Last(3) }, "SparseBlocks is 'last 3', but Blocks is 2"],
            [SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.At(0, 2) }, "SparseBlocks is '0, 2', but Blocks is 2"],
            [SparseMlpConfig.Tiny with { SparseBlocks = null! }, "SparseBlocks is null"],
            [
                SparseMlpConfig.Tiny with { ReRepresented = (ReRepresentedAxes)5 },
                "ReRepresented is 5; it must be one of PatchesAndChannels, Patches, None",
            ],
            [
                SparseMlpConfig.Tiny with { ReRepresented = ReRepresentedAxes.None, InnerPatches = 8 },
                "InnerPatches is 8, but ReRepresented is None; it must be null or the image's 4 patches",
            ],
            [
                SparseMlpConfig.Tiny with { ReRepresented = ReRepresentedAxes.Patches, InnerWidth = 8 },
                "InnerWidth is 8, but ReRepresented is Patches; it must be null or Width (16)",
            ],
            [SparseMlpConfig.Tiny with { InnerPatches = 0 }, "InnerPatches is 0"],
            [SparseMlpConfig.Tiny with { InnerWidth = -2 }, "InnerWidth is -2"],
            [SparseMlpConfig.Tiny with { Width = 1 }, "InnerWidth is null, which is half of Width (1)"],
            [SparseMlpConfig.Tiny with { SpatialExperts = -1 }, "SpatialExperts is -1"],
            [
                SparseMlpConfig.Tiny with { SpatialExpertsPerItem = 5 },
                "SpatialExpertsPerItem is 5; it must be between 1 and SpatialExperts (4)",
            ],
            [
                SparseMlpConfig.Tiny with { ChannelExpertsPerItem = 0 },
                "ChannelExpertsPerItem is 0; it must be between 1 and ChannelExperts (3)",
            ],
            [SparseMlpConfig.Tiny with { SpatialExpertWidth = 0 }, "SpatialExpertWidth is 0"],
            [SparseMlpConfig.Tiny with { ChannelExpertWidth = 0 }, "ChannelExpertWidth is 0"],
            [SparseMlpConfig.Tiny with { RouterNoise = -1 }, "RouterNoise is -1"],
            [SparseMlpConfig.Tiny with { BalanceLossWeight = double.NaN }, "BalanceLossWeight is NaN"],
            [SparseMlpConfig.Tiny with { TrainingCapacity = new ExpertCapacity(0.5) }, "capacity factor is 0.5"],
        ];

    [TestMethod]
    public void AGroupABlockIsNoGroupingAndNeedsNoSharedParameters()
    {
        var ungrouped = WideNetConfig.Tiny with { ShareParameters = false };
        var grouped = ungrouped with { RoutingGroups = 3 };
        grouped.Validate();
        Assert.AreEqual(ungrouped.GetCost(), grouped.GetCost());
    }

    [TestMethod]
    [DynamicData(nameof(Invalid))]
    public void InvalidConfigurationsNameThePropertyAndBothValues(ImageClassifierConfig config, string message)
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() => config.Build());
        Assert.Contains(message, error.Message);
    }
}
