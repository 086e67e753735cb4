// Axes: T = tokens of the whole batch, D = model width, M = experts of a token.

using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>A way to compute experts and their gradients. Called where gradients are not recorded.</summary>
internal interface IExpertTablesKernel
{
    /// <summary>Computes y and what the backward pass needs of the way there.</summary>
    /// <param name="x_TD">Tokens.</param>
    /// <param name="gates_TM">Gates.</param>
    /// <param name="ids_TM">Experts.</param>
    /// <returns>y (T, D), and for every table that tokens are multiplied with the products (T, M): u·x, and w·x where there is a
    /// gate.</returns>
    (Tensor Y_TD, Tensor[] Products) Forward(Tensor x_TD, Tensor gates_TM, Tensor ids_TM);

    /// <summary>Computes the gradients.</summary>
    /// <param name="x_TD">Tokens.</param>
    /// <param name="gates_TM">Gates.</param>
    /// <param name="ids_TM">Experts.</param>
    /// <param name="products">What <see cref="Forward"/> has returned.</param>
    /// <param name="dy_TD">Gradient of y.</param>
    /// <param name="wantsTokens">Whether the gradient of the tokens is wanted.</param>
    /// <returns>Gradients of the tokens, null if they are not wanted or do not matter, and of the gates; for every table the multiples of
    /// <see cref="RowFactors"/>.</returns>
    (Tensor? Dx_TD, Tensor DGates_TM, Tensor[] Multiples_TM) Backward(
        Tensor x_TD, Tensor gates_TM, Tensor ids_TM, Tensor[] products, Tensor dy_TD, bool wantsTokens);
}
