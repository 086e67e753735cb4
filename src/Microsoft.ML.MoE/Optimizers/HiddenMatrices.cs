// Axes: E = matrices on top of each other, J = matrices side by side by their outputs, O = outputs, I = inputs, B = E·J.

using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>A parameter made of matrices between hidden layers, each of which <see cref="Muon"/> orthogonalises by itself.</summary>
/// <param name="Weight">
/// The parameter: (E, I, J·O) where inputs come first, else (J·O, I…), all axes after the first being inputs (E is 1 then).
/// </param>
/// <param name="Joined">Matrices J that one product computes: queries, keys and values, say.</param>
/// <param name="InputsFirst">Whether the parameter is a stack of matrices with a row for each input.</param>
internal readonly record struct HiddenMatrices(Parameter Weight, long Joined = 1, bool InputsFirst = false)
{
    /// <summary>Matrices B.</summary>
    public long Count => Joined * (InputsFirst ? Weight.shape[0] : 1);

    /// <summary>Outputs O of each.</summary>
    public long Outputs => (InputsFirst ? Weight.shape[2] : Weight.shape[0]) / Joined;

    /// <summary>Inputs I of each.</summary>
    public long Inputs => Weight.numel() / (Count * Outputs);

    /// <summary>Takes a tensor of the parameter's shape apart, or copies it.</summary>
    /// <returns>(B, O, I).</returns>
    public Tensor Split(Tensor whole) =>
        InputsFirst
            ? whole.reshape(-1, Inputs, Joined, Outputs).permute(0, 2, 3, 1).reshape(Count, Outputs, Inputs)
            : whole.reshape(Count, Outputs, Inputs);

    /// <summary>Puts matrices (B, O, I) together again, in the parameter's shape.</summary>
    public Tensor Join(Tensor matrices_BOI) =>
        InputsFirst
            ? matrices_BOI.reshape(-1, Joined, Outputs, Inputs).permute(0, 3, 1, 2).reshape(Weight.shape)
            : matrices_BOI.reshape(Weight.shape);
}
