using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>What a step of Adam's family reads and writes, in lists that run in parallel.</summary>
/// <param name="Parameters">What is trained.</param>
/// <param name="Gradients">Their gradients.</param>
/// <param name="FirstMoments">Running means of the gradients.</param>
/// <param name="SecondMoments">Running means of the squared gradients.</param>
/// <param name="Steps">How many updates each parameter has had: float32 scalars on the parameters' device.</param>
internal readonly record struct AdamTensors(
    Tensor[] Parameters, Tensor[] Gradients, Tensor[] FirstMoments, Tensor[] SecondMoments, Tensor[] Steps);
