namespace Microsoft.ML.MoE.Kernels;

/// <summary>The numbers of a step of Adam's family.</summary>
/// <param name="LearningRate">The step size η.</param>
/// <param name="Beta1">Decay β1 of the first moment.</param>
/// <param name="Beta2">Decay β2 of the second moment.</param>
/// <param name="WeightDecay">Weight decay λ.</param>
/// <param name="Epsilon">ε, added to the root of the second moment.</param>
internal readonly record struct AdamStep(double LearningRate, double Beta1, double Beta2, double WeightDecay, double Epsilon);
