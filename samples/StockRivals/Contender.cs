using Microsoft.ML;
using Microsoft.ML.MoE.Training;

namespace StockRivals;

/// <summary>Makes what is trained: from the label as a text and the images to the columns Label (a key) and Score.</summary>
/// <param name="mlContext">ML.NET, with the seed of this training.</param>
/// <param name="progress">Is told how the training goes, by those that can tell.</param>
internal delegate IEstimator<ITransformer> Pipeline(MLContext mlContext, Action<TrainingProgress> progress);

/// <summary>One side of a contest.</summary>
/// <param name="Side"><c>ours</c> or <c>stock</c>.</param>
/// <param name="Name">What it is.</param>
/// <param name="Create">Makes it.</param>
internal sealed record Contender(string Side, string Name, Pipeline Create);
