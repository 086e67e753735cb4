using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Trains a <see cref="SparseMlp"/> to classify images: an MLP-Mixer whose last blocks have mixtures of experts over both patches and
/// channels ("Sparse-MLP: A Fully-MLP Architecture with Conditional Computation", arXiv 2109.02008, version 2).
/// </summary>
/// <inheritdoc cref="ImageClassifierEstimator" path="/remarks"/>
public sealed partial class SparseMlpTrainer : ImageClassifierEstimator
{
    internal SparseMlpTrainer(IHostEnvironment environment, Options options) : base(environment, nameof(SparseMlpTrainer), options)
    {
    }
}
