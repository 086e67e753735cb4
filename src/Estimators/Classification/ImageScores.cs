namespace Microsoft.ML.MoE.Estimators;

/// <summary>What a model says about a block of images.</summary>
/// <param name="Probabilities">Class probabilities, image after image.</param>
/// <param name="Embeddings">The pooled vectors that the classes are read from, image after image; empty where they were not asked
/// for.</param>
internal sealed record ImageScores(float[] Probabilities, float[] Embeddings);
