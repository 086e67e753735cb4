using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class WideNetImageClassifier
{
    /// <summary>
    /// Options of <see cref="WideNetImageClassifier"/>. They start as <see cref="WideNetConfig.Small"/>, which trains on a CPU (4 experts of 192), or as the preset given.
    /// </summary>
    public sealed class Options : TransformerClassifierOptions
    {
        private readonly WideNetConfig preset;

        /// <summary>Starts from <see cref="WideNetConfig.Small"/>; the images' size and the patches are chosen to suit the data.</summary>
        public Options() : this(WideNetConfig.Small)
        {
            PatchSize = null;
        }

        /// <summary>Starts from a preset or any other architecture. Its image size, channels and classes are not taken over: the data decide.</summary>
        /// <param name="architecture">For example <see cref="WideNetConfig.Base"/>.</param>
        public Options(WideNetConfig architecture) : base(architecture)
        {
            preset = architecture;
            FeedForwardWidth = architecture.FeedForwardWidth;
            ShareParameters = architecture.ShareParameters;
            ShareLayerNorms = architecture.ShareLayerNorms;
            RoutingGroups = architecture.RoutingGroups;
            RoutingReuse = architecture.RoutingReuse;
        }

        /// <summary>Hidden width of the dense layer where <see cref="TransformerClassifierOptions.Experts"/> is 0. Default 3072.</summary>
        public int FeedForwardWidth { get; set; }

        /// <summary>Whether one attention module and one mixture serve all blocks. Default true.</summary>
        public bool ShareParameters { get; set; }

        /// <summary>Whether one pair of LayerNorms serves all blocks. Default false.</summary>
        public bool ShareLayerNorms { get; set; }

        /// <summary>
        /// Number of groups of consecutive blocks that route together, a divisor of <see cref="TransformerClassifierOptions.Blocks"/>; null (default) to route in every block. Needs <see cref="ShareParameters"/>.
        /// </summary>
        public int? RoutingGroups { get; set; }

        /// <summary>What the later blocks of a group take over from its first.</summary>
        public RoutingReuse RoutingReuse { get; set; }

        private protected override ImageClassifierConfig CreateConfigCore(int height, int width, int channels, int classCount) =>
            Apply(preset, height, width, channels, classCount) with
            {
                FeedForwardWidth = FeedForwardWidth,
                ShareParameters = ShareParameters,
                ShareLayerNorms = ShareLayerNorms,
                RoutingGroups = RoutingGroups,
                RoutingReuse = RoutingReuse,
            };
    }
}
