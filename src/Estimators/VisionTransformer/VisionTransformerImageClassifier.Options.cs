using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class VisionTransformerImageClassifier
{
    /// <summary>Options of <see cref="VisionTransformerImageClassifier"/>.</summary>
    public sealed class Options : ImageClassificationOptions
    {
        /// <summary>
        /// What the network looks like, for example <see cref="VisionTransformerConfig.MoeSmall"/>. Null (default): that of
        /// <see cref="ImageClassificationOptions.InitialModel"/>, without one <see cref="VisionTransformerConfig.Thumbnail"/>
        /// for images of up to 64 pixels a side, and <see cref="VisionTransformerConfig.Compact"/> for larger ones: dense ViTs that train
        /// on a CPU. Its images' size, channels, patches and classes are not taken over: the other options and the data say them.
        /// </summary>
        [OutsideIdentity("the model's configuration is in it")]
        public VisionTransformerConfig? Architecture { get; set; }

        private protected override ImageClassifierConfig? GivenArchitecture => Architecture;

        private protected override ImageClassifierConfig UsualArchitecture(bool isSmall) =>
            isSmall ? VisionTransformerConfig.Thumbnail : VisionTransformerConfig.Compact;
    }
}
