// What a classifier of texts is trained for, cross-entropy with smoothed labels (arXiv 1512.00567, section 7) plus the model's auxiliary
// loss, and what it is judged by.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Loss and evaluation of a classifier of texts, for <see cref="TrainingLoop{TBatch}"/> of <see cref="TextBatch"/>.</summary>
/// <param name="model">The model, all on one device.</param>
/// <param name="labelSmoothing">The part of the target that is spread evenly over all classes, 0 to below 1.</param>
internal sealed class TextClassificationObjective(TextClassifier model, double labelSmoothing)
{
    /// <summary>The loss of a training batch.</summary>
    /// <param name="batch">The batch, on the model's device; not disposed.</param>
    /// <returns>The loss; its tensors belong to the caller's dispose scope.</returns>
    public StepLoss ComputeLoss(TextBatch batch)
    {
        using var scope = NewDisposeScope();
        var output = model.forward(batch.Ids_NL, batch.IsToken_NL, batch.Segments_NL);
        var main = nn.functional.cross_entropy(output.Logits_NC, batch.Labels_N, label_smoothing: labelSmoothing);
        var routing = output.Routing;
        return new StepLoss(
            main.MoveToOuterDisposeScope(),
            output.AuxiliaryLoss.MoveToOuterDisposeScope(),
            batch.Count,
            routing.Count == 0 ? null : [.. routing.Select(record => record.ExpertCounts_E.MoveToOuterDisposeScope())],
            routing.Count == 0 ? null : stack(routing.Select(record => record.DroppedCount)).MoveToOuterDisposeScope());
    }

    /// <summary>
    /// Accuracy and mean log-loss (natural logarithm, labels not smoothed, auxiliary loss left out) over all batches, in evaluation mode.
    /// The model gets its mode back.
    /// </summary>
    /// <param name="batches">All texts to judge by; each batch is disposed.</param>
    /// <param name="cancellationToken">Stops between two batches.</param>
    /// <exception cref="InvalidOperationException">There is no batch.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public ValidationResult Evaluate(IEnumerable<TextBatch> batches, CancellationToken cancellationToken = default)
    {
        using var _ = no_grad();
        var wasTraining = model.training;
        model.eval();
        try
        {
            var (correct, count, logLoss) = (0L, 0L, 0.0);
            foreach (var batch in batches)
            {
                using var owned = batch;
                cancellationToken.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                var logits_NC = model.forward(batch.Ids_NL, batch.IsToken_NL, batch.Segments_NL).Logits_NC;
                correct += logits_NC.argmax(1).eq(batch.Labels_N).sum().ReadInt64();
                logLoss += nn.functional.cross_entropy(logits_NC, batch.Labels_N, reduction: nn.Reduction.Sum).ReadSingle();
                count += batch.Count;
            }
            return count == 0
                ? throw new InvalidOperationException("The validation data has no rows: at least one is wanted.")
                : new ValidationResult(correct / (double)count, logLoss / count, "Accuracy", HigherIsBetter: true);
        }
        finally
        {
            model.train(wasTraining);
        }
    }
}
