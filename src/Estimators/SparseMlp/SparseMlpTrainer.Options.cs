using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class SparseMlpTrainer
{
    /// <summary>Options of <see cref="SparseMlpTrainer"/>.</summary>
    public sealed class Options : ImageClassificationOptions
    {
        /// <summary>
        /// What the network looks like, for example <c>SparseMlpConfig.Small with { Blocks = 4 }</c>. Null (default): that of
        /// <see cref="ImageClassificationOptions.InitialModel"/>, without one <see cref="SparseMlpConfig.Thumbnail"/>
        /// for images of up to 64 pixels a side, and <see cref="SparseMlpConfig.Compact"/> for larger ones; both train on a CPU. A
        /// dense MLP-Mixer is a Sparse-MLP whose <see cref="SparseMlpConfig.SparseBlocks"/> are <see cref="BlockPositions.None"/>.
        /// Its images' size, channels, patches and classes are not taken over: the other options and the data say them.
        /// </summary>
        [OutsideIdentity("the model's configuration is in it")]
        public SparseMlpConfig? Architecture { get; set; }

        private protected override ImageClassifierConfig? GivenArchitecture => Architecture;

        private protected override ImageClassifierConfig UsualArchitecture(bool isSmall) =>
            isSmall ? SparseMlpConfig.Thumbnail : SparseMlpConfig.Compact;
    }
}
