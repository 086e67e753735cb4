// What a language model is trained for, the cross-entropy of the next token in nats plus the auxiliary losses of its sparse layers, and
// what it is judged by.
//
// Axes: N = sequences, L = tokens of a sequence, V = vocabulary, B = sparse layers, E = experts.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Loss and evaluation of a language model, for <see cref="TrainingLoop{TBatch}"/> of <see cref="TokenBatch"/>.</summary>
internal sealed class LanguageModelObjective
{
    // Counting the choices of a million experts in every step would cost more than it tells; their usage is measured on validation data.
    private const int MostCountedExperts = 4096;

    private readonly LanguageModel model;

    /// <summary>Makes an objective.</summary>
    /// <param name="model">The model, all on one device.</param>
    public LanguageModelObjective(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.model = model;
    }

    /// <summary>
    /// The loss of a training batch. Its samples are tokens; layers of at most 4,096 experts report how often each was chosen.
    /// </summary>
    /// <param name="batch">The batch, on any device; not disposed.</param>
    /// <returns>The loss; its tensors belong to the caller's dispose scope.</returns>
    public StepLoss ComputeLoss(TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        var device = model.parameters().First().device;
        var output = model.forward(batch.Inputs_NL.to(device));
        var main = nn.functional.cross_entropy(output.Logits_NLV.flatten(0, 1), batch.Targets_NL.to(device).flatten());
        ExpertSelection[] counted = [.. output.Selections.Where(selection => selection.Experts <= MostCountedExperts)];
        using var noGrad = no_grad();
        return new StepLoss(
            main.MoveToOuterDisposeScope(), output.AuxiliaryLoss.MoveToOuterDisposeScope(), batch.Count,
            counted.Length == 0 ? null : [.. counted.Select(selection => selection.CountChoices().MoveToOuterDisposeScope())],
            counted.Length == 0
                ? null
                : stack(counted.Select(selection => selection.DroppedCount ?? zeros([], int64, device))).MoveToOuterDisposeScope());
    }

    /// <summary>
    /// Perplexity and mean loss in nats per token over whole documents: see <see cref="DocumentScorer"/>. Auxiliary losses are left out.
    /// The model gets its mode back.
    /// </summary>
    /// <param name="documents">The tokens of each document.</param>
    /// <param name="separator">The token before every document.</param>
    /// <param name="batchSize">Windows that are read at once, at least 1.</param>
    /// <param name="cancellationToken">Stops between two batches.</param>
    /// <exception cref="InvalidOperationException">There is no token.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public ValidationResult Evaluate(
        IReadOnlyList<int[]> documents, int separator, int batchSize = 32, CancellationToken cancellationToken = default)
    {
        using var plan = model.CreatePlan();   // of the weights as they are in this validation
        var scores = new DocumentScorer(model, separator, batchSize, plan).Score(documents, cancellationToken: cancellationToken);
        var count = scores.Sum(score => (long)score.TokenCount);
        if (count == 0)
            throw new InvalidOperationException("The validation data has no tokens: at least one is wanted.");
        var loss = -scores.Sum(score => score.LogLikelihood) / count;
        return new ValidationResult(Math.Exp(loss), loss, "Perplexity", HigherIsBetter: false);
    }
}
