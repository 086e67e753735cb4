using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Trains a <see cref="VisionTransformer"/> to classify images: a ViT ("An Image is Worth 16x16 Words", arXiv 2010.11929) or, with experts
/// in its last blocks, a ViT-MoE: the models that
/// <see cref="WideNetImageClassifier"/> is to be compared with.
/// </summary>
/// <inheritdoc cref="ImageClassifierEstimator" path="/remarks"/>
public sealed partial class VisionTransformerImageClassifier : ImageClassifierEstimator
{
    internal VisionTransformerImageClassifier(IHostEnvironment environment, Options options)
        : base(environment, nameof(VisionTransformerImageClassifier), options) { }
}
