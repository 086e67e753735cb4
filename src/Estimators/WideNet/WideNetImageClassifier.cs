using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Trains a <see cref="WideNet"/> to classify images: a Transformer whose blocks share one attention module and one mixture of experts ("Go
/// Wider Instead of Deeper", arXiv 2107.11817).
/// </summary>
/// <inheritdoc cref="ImageClassifierEstimator" path="/remarks"/>
public sealed partial class WideNetImageClassifier : ImageClassifierEstimator
{
    internal WideNetImageClassifier(IHostEnvironment environment, Options options)
        : base(environment, nameof(WideNetImageClassifier), options) { }
}
