// How much the tasks of a model get in each other's way. Uni-Perceiver-MoE, arXiv 2206.04674, section 3.
//
//     d_ji(b, a) = ⟨g_j^b, g_i^a⟩ / ‖g_j^b‖        what a step of unit length for batch b of task j does for batch a of
//                                               task i, to first order
//     D_ji(a)    = mean over b ≠ a of d_ji(b, a)
//     I_ij       = mean over a of D_ji(a) / D_ii(a)
//
// Axes: A = batches of a task, P = weights of the layer.

using System.Globalization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Measures the interference of tasks from their gradients.</summary>
internal static class TaskInterference
{
    /// <summary>
    /// Measures every block of a model, in evaluation mode and with the losses as they are, not weighted. The model gets its mode and its
    /// gradients back as none.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="batches">The batches of each task, at least two of each and as many of all; each is disposed.</param>
    /// <param name="cancellationToken">Stops between two batches.</param>
    /// <exception cref="ArgumentException">A task has fewer than two batches, or another number than the first.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static IReadOnlyList<LayerInterference> Measure(
        Generalist model,
        IReadOnlyList<(string Task, IEnumerable<GeneralistBatch> Batches)> batches,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batches);
        using var scope = NewDisposeScope();
        using var grad = enable_grad();
        var wasTraining = model.training;
        model.eval();
        var weights = Enumerable.Range(0, model.Config.Blocks).Select(model.SecondFeedForwardMatrix).ToArray();
        var objective = new GeneralistObjective(model, balanceLossWeight: 0);
        try
        {
            var gradients = batches.Select(task => weights.Select(_ => new List<Tensor>()).ToArray()).ToArray();   // by task and block
            foreach (var (number, (_, ofTask)) in batches.Index())
            {
                foreach (var batch in ofTask)
                {
                    using var owned = batch;
                    cancellationToken.ThrowIfCancellationRequested();
                    using var inner = NewDisposeScope();
                    model.zero_grad(set_to_none: true);
                    objective.ComputeLoss(batch).Main.DividedBy(batch.Task.LossWeight).backward();
                    foreach (var (block, weight) in weights.Index())
                        gradients[number]
                            [block]
                            .Add(
                                (weight.grad?.flatten().clone() ?? zeros(weight.numel(), device: weight.device)).MoveToOuterDisposeScope());
                }
            }

            using var noGrad = no_grad();
            string[] names = [.. batches.Select(task => task.Task)];
            return
            [
                .. Enumerable
                    .Range(0, weights.Length)
                    .Select(block => Measure(block, names, [.. gradients.Select(ofTask => stack(ofTask[block]))])),
            ];
        }
        finally
        {
            model.zero_grad(set_to_none: true);
            model.train(wasTraining);
        }
    }

    /// <summary>Measures one layer.</summary>
    /// <param name="block">Its number.</param>
    /// <param name="tasks">Names of the tasks.</param>
    /// <param name="gradients_AP">The gradients of each task, float32 (A, P), with at least two rows and as many in all.</param>
    /// <exception cref="ArgumentException">A task has fewer than two gradients, or another number than the first.</exception>
    public static LayerInterference Measure(int block, IReadOnlyList<string> tasks, IReadOnlyList<Tensor> gradients_AP)
    {
        ArgumentNullException.ThrowIfNull(tasks);
        ArgumentNullException.ThrowIfNull(gradients_AP);
        if (tasks.Count == 0
            || tasks.Count != gradients_AP.Count
            || gradients_AP.Any(one => one.dim() != 2 || one.shape[0] < 2 || one.shape[0] != gradients_AP[0].shape[0]))
        {
            throw new ArgumentException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"The tasks [{string.Join(", ", tasks)}] have [{string.Join(", ", gradients_AP.Select(one => one.shape[0]))}] "
                        + $"gradients; at least two of each are wanted, and as many of all."),
                nameof(gradients_AP));
        }
        using var scope = NewDisposeScope();
        var count = gradients_AP[0].shape[0];
        var others_AA = eye(count, device: gradients_AP[0].device).SubtractedFrom(1);
        double[][] ratios = [.. tasks.Select(_ => new double[tasks.Count])], means = [.. tasks.Select(_ => new double[tasks.Count])];
        for (var i = 0; i < tasks.Count; i++)
        {
            var own_A = Gain(i, i);
            for (var j = 0; j < tasks.Count; j++)
            {
                var gain_A = Gain(j, i);
                ratios[i][j] = (gain_A / own_A).mean().ReadDouble();
                means[i][j] = (gain_A.sum() / own_A.sum()).ReadDouble();
            }
        }
        return new LayerInterference(block, [.. tasks], ratios, means);

        // D_ji(a): what steps for the other batches of task j do for batch a of task i.
        Tensor Gain(int j, int i)
        {
            var steps_AP = gradients_AP[j] / gradients_AP[j].norm(1, keepdim: true).Clamp(min: 1e-30);
            return (steps_AP.matmul(gradients_AP[i].transpose(0, 1)) * others_AA).sum([0]).DividedBy(count - 1);
        }
    }
}
