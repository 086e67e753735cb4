using Microsoft.ML.MoE.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// What the optimizers of dense parameters have in common: tensors of their own beside each parameter, and steps over all parameters that
/// have a gradient. The others are left alone and keep their own step count. Owns its tensors: dispose it. Nothing in a step waits for the
/// device.
/// </summary>
internal abstract class StatefulOptimizer : IOptimizer
{
    private readonly ParameterStates states;

    private protected StatefulOptimizer(ParameterStates states) => this.states = states;

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => states.Parameters;

    /// <summary>
    /// What a checkpoint keeps: for each parameter its moments, <c>NAME.MOMENT</c>, and where they count the number of updates it has had,
    /// <c>NAME.step</c> (a float32 scalar).
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> State => states.Tensors;

    /// <inheritdoc/>
    public void Restore(IReadOnlyDictionary<string, Tensor> state) => NamedTensors.Copy(State, state);

    /// <inheritdoc/>
    public Tensor GradientNorm() => GradientClipping.Norm(Parameters);

    /// <inheritdoc/>
    public void Step(double learningRate, Tensor? gradientDivisor = null, Tensor? skip = null)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (group, active) in states.Active())
            Update(group, active, learningRate * group.LearningRateScale, gradientDivisor, skip);
    }

    /// <inheritdoc/>
    public void ZeroGrad() => states.ZeroGrad();

    /// <summary>Releases the optimizer's own tensors; the parameters stay.</summary>
    public void Dispose()
    {
        states.Dispose();
        GC.SuppressFinalize(this);
    }

    // Changes the parameters of a group that have a gradient, and their moments, within a dispose scope.
    private protected abstract void Update(
        ParameterGroup group, ParameterStates.ActiveParameters active, double learningRate, Tensor? gradientDivisor, Tensor? skip);
}
