using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class WideNetImageClassifier
{
    /// <summary>Options of <see cref="WideNetImageClassifier"/>. They start as <see cref="WideNetConfig.Small"/>, which trains on a CPU, or as the preset given.</summary>
    public sealed class Options : ImageClassificationOptions
    {
        // 512×512 in patches of 16. Whoever wants more says so by setting the patch size.
        private const int MostChosenPatches = 1024;

        private readonly WideNetConfig preset;

        /// <summary>Starts from <see cref="WideNetConfig.Small"/>; the images' size and the patches are chosen to suit the data.</summary>
        public Options() : this(WideNetConfig.Small)
        {
            PatchSize = null;
        }

        /// <summary>Starts from a preset or any other architecture. Its image size, channels and classes are not taken over: the data decide.</summary>
        /// <param name="architecture">For example <see cref="WideNetConfig.Base"/>.</param>
        public Options(WideNetConfig architecture)
        {
            ArgumentNullException.ThrowIfNull(architecture);
            preset = architecture;
            PatchSize = architecture.PatchSize;
            Width = architecture.Width;
            Heads = architecture.Heads;
            Blocks = architecture.Blocks;
            Experts = architecture.Experts;
            ExpertsPerToken = architecture.ExpertsPerToken;
            ExpertWidth = architecture.ExpertWidth;
            CapacityFactor = architecture.TrainingCapacity?.Factor;
            BalanceLossWeight = architecture.BalanceLossWeight;
            RouterNoise = architecture.RouterNoise;
            Dropout = architecture.Dropout;
            FeedForwardWidth = architecture.FeedForwardWidth;
            ShareParameters = architecture.ShareParameters;
            ShareLayerNorms = architecture.ShareLayerNorms;
            RoutingGroups = architecture.RoutingGroups;
            RoutingReuse = architecture.RoutingReuse;
        }

        /// <summary>
        /// Side of a square patch in pixels, a divisor of the images' height and width. Null (the default without a preset): the largest divisor that gives at least 7 patches a side, at
        /// most 16; images for which that makes more than 1,024 patches are refused, since attention takes time with the square of that number.
        /// </summary>
        public int? PatchSize { get; set; }

        /// <summary>Width of the model, a multiple of <see cref="Heads"/>. Default 96.</summary>
        public int Width { get; set; }

        /// <summary>Attention heads. Default 4.</summary>
        public int Heads { get; set; }

        /// <summary>Transformer blocks. Default 4.</summary>
        public int Blocks { get; set; }

        /// <summary>Experts; 0 makes the feed-forward layer dense. Default 4.</summary>
        public int Experts { get; set; }

        /// <summary>Experts that each patch is sent to, 1 to <see cref="Experts"/>. Default 2.</summary>
        public int ExpertsPerToken { get; set; }

        /// <summary>Hidden width of an expert. Default 192.</summary>
        public int ExpertWidth { get; set; }

        /// <summary>
        /// How many patches an expert accepts while training, as a multiple of an even share, at least 1; null for no limit. Default 1.2. Nothing is left out when predicting.
        /// </summary>
        public double? CapacityFactor { get; set; }

        /// <summary>Weight of the loss that keeps the experts evenly used, at least 0. Default 0.01.</summary>
        public double BalanceLossWeight { get; set; }

        /// <summary>Noise of the router while training, standard deviation as a multiple of 1/experts, at least 0. Default 1.</summary>
        public double RouterNoise { get; set; }

        /// <summary>Probability of dropping a value while training, 0 to below 1. Default 0; the paper's sizes have 0.1.</summary>
        public double Dropout { get; set; }

        /// <summary>Hidden width of the dense layer where <see cref="Experts"/> is 0. Default 3072.</summary>
        public int FeedForwardWidth { get; set; }

        /// <summary>Whether one attention module and one mixture serve all blocks. Default true.</summary>
        public bool ShareParameters { get; set; }

        /// <summary>Whether one pair of LayerNorms serves all blocks. Default false.</summary>
        public bool ShareLayerNorms { get; set; }

        /// <summary>Number of groups of consecutive blocks that route together, a divisor of <see cref="Blocks"/>; null (default) to route in every block. Needs <see cref="ShareParameters"/>.</summary>
        public int? RoutingGroups { get; set; }

        /// <summary>What the later blocks of a group take over from its first.</summary>
        public RoutingReuse RoutingReuse { get; set; }

        private protected override ImageClassifierConfig CreateConfigCore(int height, int width, int channels, int classCount) => preset with
        {
            ImageHeight = height,
            ImageWidth = width,
            Channels = channels,
            ClassCount = classCount,
            PatchSize = PatchSize ?? ChoosePatchSize(height, width),
            Width = Width,
            Heads = Heads,
            Blocks = Blocks,
            Experts = Experts,
            ExpertsPerToken = ExpertsPerToken,
            ExpertWidth = ExpertWidth,
            TrainingCapacity = CapacityFactor is { } factor ? (preset.TrainingCapacity ?? new ExpertCapacity()) with { Factor = factor } : null,
            BalanceLossWeight = BalanceLossWeight,
            RouterNoise = RouterNoise,
            Dropout = Dropout,
            FeedForwardWidth = FeedForwardWidth,
            ShareParameters = ShareParameters,
            ShareLayerNorms = ShareLayerNorms,
            RoutingGroups = RoutingGroups,
            RoutingReuse = RoutingReuse,
        };

        private protected override int SmallestSide => Math.Max(1, PatchSize ?? 1);

        // 28 → 4, 32 → 4, 64 → 8, 224 → 16: between 49 and a few hundred patches for the usual sizes.
        private static int ChoosePatchSize(int height, int width)
        {
            var patch = Math.Max(1, Math.Min(16, Math.Min(height, width) / 7));
            while (height % patch != 0 || width % patch != 0)
                patch--;

            var patches = (long)(height / patch) * (width / patch);
            if (patches > MostChosenPatches)
            {
                throw new ArgumentException(
                    $"Images of {width}×{height} pixels would be cut into {patches:n0} patches of {patch}×{patch}, the largest that divide both sides ({nameof(PatchSize)} is not set, and 16 is the most that is "
                    + $"chosen); at most {MostChosenPatches:n0} patches train in reasonable time. Set {nameof(ImageHeight)} and {nameof(ImageWidth)} to multiples of 16 for a column of pictures, which are resized, "
                    + $"or set {nameof(PatchSize)}.");
            }
            return patch;
        }
    }
}
