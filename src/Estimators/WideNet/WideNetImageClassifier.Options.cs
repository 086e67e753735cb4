using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class WideNetImageClassifier
{
    /// <summary>Options of <see cref="WideNetImageClassifier"/>.</summary>
    public sealed class Options : ImageClassificationOptions
    {
        /// <summary>
        /// What the network looks like, for example <c>WideNetConfig.Small with { Blocks = 3 }</c>. Null (default): that of
        /// <see cref="ImageClassificationOptions.InitialModel"/>, without one <see cref="WideNetConfig.Thumbnail"/>
        /// for images of up to 64 pixels a side, and <see cref="WideNetConfig.Compact"/> for larger ones; both train on a CPU.
        /// Its images' size, channels, patches and classes are not taken over: the other options and the data say them.
        /// </summary>
        [OutsideIdentity("the model's configuration is in it")]
        public WideNetConfig? Architecture { get; set; }

        private protected override ImageClassifierConfig? GivenArchitecture => Architecture;

        private protected override ImageClassifierConfig UsualArchitecture(bool isSmall) =>
            isSmall ? WideNetConfig.Thumbnail : WideNetConfig.Compact;
    }
}
