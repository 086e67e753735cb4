using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class VisionTransformerImageClassifier
{
    /// <summary>
    /// Options of <see cref="VisionTransformerImageClassifier"/>. They start as <see cref="VisionTransformerConfig.Small"/>, a dense ViT that trains on a CPU, or as the preset given.
    /// </summary>
    public sealed class Options : TransformerClassifierOptions
    {
        private readonly VisionTransformerConfig preset;

        /// <summary>Starts from <see cref="VisionTransformerConfig.Small"/>; the images' size and the patches are chosen to suit the data.</summary>
        public Options() : this(VisionTransformerConfig.Small)
        {
            PatchSize = null;
        }

        /// <summary>Starts from a preset or any other architecture. Its image size, channels and classes are not taken over: the data decide.</summary>
        /// <param name="architecture">For example <see cref="VisionTransformerConfig.MoeSmall"/>.</param>
        public Options(VisionTransformerConfig architecture) : base(architecture)
        {
            preset = architecture;
            FeedForwardWidth = architecture.FeedForwardWidth;
            MixtureBlocks = architecture.MixtureBlocks;
        }

        /// <summary>Hidden width of the dense feed-forward layers. Default 384.</summary>
        public int FeedForwardWidth { get; set; }

        /// <summary>
        /// How many of the last blocks have a mixture of experts instead of a dense layer (ViT-MoE); needs <see cref="TransformerClassifierOptions.Experts"/>. Default 0: a ViT.
        /// </summary>
        public int MixtureBlocks { get; set; }

        private protected override ImageClassifierConfig CreateConfigCore(int height, int width, int channels, int classCount) =>
            Apply(preset, height, width, channels, classCount) with { FeedForwardWidth = FeedForwardWidth, MixtureBlocks = MixtureBlocks };
    }
}
