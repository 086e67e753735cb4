// An exponential moving average of the weights over training, as in arXiv 1512.00567, section 8; averaging goes back to B. T. Polyak and A.
// B. Juditsky, SIAM J. Control Optim. 30 (1992).
//
//   a <- d a + (1 - d) w        with d = min(decay, (1 + t) / (10 + t)) at update t, so that a young average follows closely

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>An average of a module's trained parameters and floating-point buffers, beside them on their device.</summary>
internal sealed class WeightAverage : ITrainingCompanion, IDisposable
{
    /// <summary>What its state is called in checkpoints.</summary>
    public const string CompanionName = "average";

    private readonly (string Name, Tensor Live, Tensor Average)[] tensors;
    private readonly double decay;

    /// <summary>Starts from the module's weights as they are.</summary>
    /// <param name="module">The module.</param>
    /// <param name="trained">Its parameters that change; the others need no average. Those that do not require a gradient, tables with an
    /// optimizer of their own, get none.</param>
    /// <param name="decay">The decay of an old average, 0 to below 1.</param>
    public WeightAverage(nn.Module module, IEnumerable<Parameter> trained, double decay)
    {
        using var _ = no_grad();
        // Tables of which an update touches a few rows have no gradient there: an average would touch all.
        var handles = trained.Where(parameter => parameter.requires_grad).Select(parameter => parameter.Handle).ToHashSet();
        tensors = module
            .named_parameters()
            .Where(pair => handles.Contains(pair.parameter.Handle))
            .Select(pair => (pair.name, (Tensor)pair.parameter))
            .Concat(module.named_buffers().Where(pair => pair.buffer.is_floating_point()).Select(pair => (pair.name, pair.buffer)))
            .DistinctBy(pair => pair.Item2.Handle)
            .Select(pair => (pair.name, pair.Item2, pair.Item2.clone().DetachFromDisposeScope()))
            .ToArray();
        this.decay = decay;
    }

    public string Name => CompanionName;

    public IReadOnlyDictionary<string, Tensor> State => tensors.ToDictionary(tensor => tensor.Name, tensor => tensor.Average);

    public void Restore(IReadOnlyDictionary<string, Tensor> state) => NamedTensors.Copy(State, state);

    public void AfterUpdate(int update, int totalUpdates)
    {
        using var _ = no_grad();
        double kept = Math.Min(decay, (1.0 + update) / (10.0 + update));
        TorchScripts.Lerp(tensors.Select(tensor => tensor.Average).ToArray(), tensors.Select(tensor => tensor.Live).ToArray(), 1 - kept);
    }

    /// <summary>Gives the module the average and keeps its weights, or the other way round.</summary>
    public void Swap()
    {
        using var _ = no_grad();
        foreach (var (_, live, average) in tensors)
        {
            using var scope = NewDisposeScope();
            var weights = live.clone();
            live.copy_(average);
            average.copy_(weights);
        }
    }

    public void Dispose()
    {
        foreach (var (_, _, average) in tensors)
            average.Dispose();
    }
}
