using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// Changes parameters by their gradients. The gradients are autograd's own (<c>grad</c>), or, for tables of which a step touches a few
/// rows, whatever the optimizer and its module agree on: the training loop asks the optimizer for their norm and tells it when to use and
/// when to drop them. Nothing here waits for the device. Owns its state: dispose it.
/// </summary>
internal interface IOptimizer : IDisposable
{
    /// <summary>The parameters that it changes.</summary>
    IEnumerable<Parameter> Parameters { get; }

    /// <summary>
    /// What a checkpoint keeps, by name: the optimizer's own tensors, not copies. Gradients in <c>grad</c> are not among them; those that
    /// are kept elsewhere and have not been used yet are, so that a checkpoint between two batches of one update loses none.
    /// </summary>
    IReadOnlyDictionary<string, Tensor> State { get; }

    /// <summary>Takes a state over, by copying.</summary>
    /// <param name="state">What <see cref="State"/> of an optimizer of the same kind over the same parameters was; on any device, not
    /// disposed.</param>
    /// <exception cref="InvalidDataException">A tensor is missing, unknown, or has another shape or type; the message names it. Nothing was
    /// changed.</exception>
    void Restore(IReadOnlyDictionary<string, Tensor> state);

    /// <summary>
    /// The Euclidean norm of all gradients together, before any division. Rows that a sparse gradient lists several times count as their
    /// sum.
    /// </summary>
    /// <returns>A float32 scalar on the parameters' device, or on the CPU where there is no gradient; the caller's dispose scope owns
    /// it.</returns>
    Tensor GradientNorm();

    /// <summary>Makes an update of every parameter that has a gradient.</summary>
    /// <param name="learningRate">What the schedule says. An optimizer may scale it by parameter, or go by a rate of its own.</param>
    /// <param name="gradientDivisor">Gradients are divided by this first, in place: a float32 scalar on the parameters' device (see
    /// <see cref="GradientClipping"/>); null for 1.</param>
    /// <param name="skip">A float32 scalar on the parameters' device: 1 leaves parameters and state as they are, 0 or null updates
    /// them.</param>
    void Step(double learningRate, Tensor? gradientDivisor = null, Tensor? skip = null);

    /// <summary>Drops all gradients.</summary>
    void ZeroGrad();
}
