using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class SparseMlpTrainer
{
    /// <summary>
    /// Options of <see cref="SparseMlpTrainer"/>. They start as <see cref="SparseMlpConfig.Small"/>, which trains on a CPU, or as the preset given. A dense MLP-Mixer is a Sparse-MLP
    /// whose <see cref="SparseBlocks"/> are <see cref="BlockPositions.None"/>.
    /// </summary>
    public sealed class Options : ImageClassificationOptions
    {
        private readonly SparseMlpConfig preset;

        /// <summary>Starts from <see cref="SparseMlpConfig.Small"/>; the images' size and the patches are chosen to suit the data.</summary>
        public Options() : this(SparseMlpConfig.Small)
        {
            PatchSize = null;
        }

        /// <summary>Starts from a preset or any other architecture. Its image size, channels and classes are not taken over: the data decide.</summary>
        /// <param name="architecture">For example <see cref="SparseMlpConfig.B16"/>.</param>
        public Options(SparseMlpConfig architecture)
        {
            ArgumentNullException.ThrowIfNull(architecture);
            preset = architecture;
            PatchSize = architecture.PatchSize;
            Width = architecture.Width;
            Blocks = architecture.Blocks;
            SpatialWidth = architecture.SpatialWidth;
            ChannelWidth = architecture.ChannelWidth;
            SparseBlocks = architecture.SparseBlocks;
            ReRepresented = architecture.ReRepresented;
            InnerPatches = architecture.InnerPatches;
            InnerWidth = architecture.InnerWidth;
            SpatialExperts = architecture.SpatialExperts;
            SpatialExpertsPerItem = architecture.SpatialExpertsPerItem;
            SpatialExpertWidth = architecture.SpatialExpertWidth;
            ChannelExperts = architecture.ChannelExperts;
            ChannelExpertsPerItem = architecture.ChannelExpertsPerItem;
            ChannelExpertWidth = architecture.ChannelExpertWidth;
            CapacityFactor = architecture.TrainingCapacity?.Factor;
            RouterNoise = architecture.RouterNoise;
            DropPath = architecture.DropPath;
        }

        /// <summary>
        /// Side of a square patch in pixels, a divisor of the images' height and width. Null (the default without a preset): the largest divisor that gives at least 7 patches a side, at
        /// most 16; images for which that makes more than 1,024 patches are refused. With <see cref="ImageClassificationOptions.InitialModel"/>: that model's.
        /// </summary>
        public int? PatchSize { get; set; }

        /// <summary>Channels of a patch, the model's width. Default 96.</summary>
        public int Width { get; set; }

        /// <summary>Blocks, dense and sparse together. Default 6.</summary>
        public int Blocks { get; set; }

        /// <summary>Hidden width of a dense block's spatial network. Default 48.</summary>
        public int SpatialWidth { get; set; }

        /// <summary>Hidden width of a dense block's channel network. Default 384.</summary>
        public int ChannelWidth { get; set; }

        /// <summary>Which blocks are sparse. Default: the last two.</summary>
        public BlockPositions SparseBlocks { get; set; }

        /// <summary>What the layers around the mixtures of a sparse block rescale. Default: patches and channels.</summary>
        public ReRepresentedAxes ReRepresented { get; set; }

        /// <summary>Patches on which the mixtures work. Null (default): twice the image's, or as many where patches are not rescaled.</summary>
        public int? InnerPatches { get; set; }

        /// <summary>Channels on which the mixtures work. Null (default): half of <see cref="Width"/>, or all of it where channels are not rescaled.</summary>
        public int? InnerWidth { get; set; }

        /// <summary>Spatial experts of a sparse block; 0 makes its spatial network dense. Default 4.</summary>
        public int SpatialExperts { get; set; }

        /// <summary>Spatial experts that each channel is sent to, 1 to <see cref="SpatialExperts"/>. Default 1.</summary>
        public int SpatialExpertsPerItem { get; set; }

        /// <summary>Hidden width of a spatial expert. Default 96.</summary>
        public int SpatialExpertWidth { get; set; }

        /// <summary>Channel experts of a sparse block; 0 makes its channel network dense. Default 4.</summary>
        public int ChannelExperts { get; set; }

        /// <summary>Channel experts that each patch is sent to, 1 to <see cref="ChannelExperts"/>. Default 2.</summary>
        public int ChannelExpertsPerItem { get; set; }

        /// <summary>Hidden width of a channel expert. Default 192.</summary>
        public int ChannelExpertWidth { get; set; }

        /// <summary>
        /// How many channels or patches an expert accepts while training, as a multiple of an even share, at least 1; null (default) for no limit. V-MoE has 1.05. Nothing is left out when
        /// predicting, unless the architecture that the options start from has an <see cref="SparseMlpConfig.EvaluationCapacity"/>, which counts within each image.
        /// </summary>
        public double? CapacityFactor { get; set; }

        /// <summary>Noise of the routers while training, standard deviation as a multiple of 1/experts, at least 0. Default 1.</summary>
        public double RouterNoise { get; set; }

        /// <summary>Probability that an image skips a branch of the last block while training, 0 to below 1; it rises linearly over the blocks. Default 0.</summary>
        public double DropPath { get; set; }

        private protected override ImageClassifierConfig CreateConfigCore(int height, int width, int channels, int classCount) => preset with
        {
            ImageHeight = height,
            ImageWidth = width,
            Channels = channels,
            ClassCount = classCount,
            PatchSize = PatchSize ?? StartingPoint?.Config.PatchSize ?? PatchSizes.Choose(height, width),
            Width = Width,
            Blocks = Blocks,
            SpatialWidth = SpatialWidth,
            ChannelWidth = ChannelWidth,
            SparseBlocks = SparseBlocks,
            ReRepresented = ReRepresented,
            InnerPatches = InnerPatches,
            InnerWidth = InnerWidth,
            SpatialExperts = SpatialExperts,
            SpatialExpertsPerItem = SpatialExpertsPerItem,
            SpatialExpertWidth = SpatialExpertWidth,
            ChannelExperts = ChannelExperts,
            ChannelExpertsPerItem = ChannelExpertsPerItem,
            ChannelExpertWidth = ChannelExpertWidth,
            TrainingCapacity = CapacityFactor is { } factor ? (preset.TrainingCapacity ?? ExpertCapacity.VMoe) with { Factor = factor } : null,
            BalanceLossWeight = BalanceLossWeight ?? preset.BalanceLossWeight,
            RouterNoise = RouterNoise,
            DropPath = DropPath,
        };

        private protected override int FittingSide(int? other) => PatchSizes.FittingSide(PatchSize ?? StartingPoint?.Config.PatchSize, other);
    }
}
