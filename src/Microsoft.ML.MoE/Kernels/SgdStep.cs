namespace Microsoft.ML.MoE.Kernels;

/// <summary>The numbers of a step of gradient descent.</summary>
/// <param name="LearningRate">The step size η.</param>
/// <param name="Momentum">Decay μ of the sums of gradients.</param>
/// <param name="Nesterov">Whether the step looks ahead along the momentum.</param>
/// <param name="WeightDecay">λ: this times the weights is added to the gradients.</param>
internal readonly record struct SgdStep(double LearningRate, double Momentum, bool Nesterov, double WeightDecay);
