// What a generalist is trained for: to tell the right target among the candidates. Uni-Perceiver, arXiv 2112.01522, equations 1 and 2.
//
//     L = w · E[ −log( P(x, y) / Σ_z P(x, z) ) ]        and for retrieval the mean over both directions
//
// Axes: N = examples, M = candidates, R = questions (an example, or a token of one, each), L = tokens of a text, D = model width.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>
/// Loss and evaluation of a <see cref="Generalist"/>, for <see cref="TrainingLoop{TBatch}"/> of <see cref="GeneralistBatch"/>.
/// </summary>
internal sealed class GeneralistObjective
{
    private readonly Generalist model;
    private readonly double labelSmoothing;
    /// <summary>What balance losses are multiplied by where nothing is said.</summary>
    internal const double UsualBalanceLossWeight = 0.01;

    private readonly double balanceLossWeight;

    /// <summary>Makes an objective.</summary>
    /// <param name="model">The model, all on one device.</param>
    /// <param name="labelSmoothing">The part of the target that is spread evenly over all candidates, 0 to below 1, where no tokens are
    /// predicted. Default 0.</param>
    /// <param name="balanceLossWeight">What the balance losses of routers that look at the data are multiplied by, at least 0. Default
    /// 0.01.</param>
    /// <exception cref="ArgumentException">A number is out of range.</exception>
    public GeneralistObjective(Generalist model, double labelSmoothing = 0, double balanceLossWeight = UsualBalanceLossWeight)
    {
        ArgumentNullException.ThrowIfNull(model);
        OptionChecks.AtLeastAndBelow(0, 1, labelSmoothing, nameof(labelSmoothing));
        OptionChecks.AtLeast(0, balanceLossWeight, nameof(balanceLossWeight));
        (this.model, this.labelSmoothing, this.balanceLossWeight) = (model, labelSmoothing, balanceLossWeight);
    }

    /// <summary>The loss of a batch. Routers that look at the data report how often each expert was chosen for the inputs.</summary>
    /// <param name="batch">The batch, on the model's device; not disposed.</param>
    /// <returns>The loss; its tensors belong to the caller's dispose scope.</returns>
    public StepLoss ComputeLoss(GeneralistBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using var scope = NewDisposeScope();
        var answers = Answer(batch);
        var smoothing = batch.Task.Kind.PredictsTokens() ? 0 : labelSmoothing;
        var main = nn.functional.cross_entropy(answers.Scores_RM, answers.Labels_R, label_smoothing: smoothing);
        if (batch.Task.Kind.IsRetrieval())
            main = main.Plus(nn.functional.cross_entropy(answers.Scores_RM.transpose(0, 1), Owners(answers), label_smoothing: smoothing))
                .DividedBy(2);
        var plans = answers.Routings.Select(routing => routing.Plan).OfType<DispatchPlan>().ToArray();
        return new StepLoss(
            main.Times(batch.Task.LossWeight).MoveToOuterDisposeScope(),
            answers.BalanceLoss.Times(balanceLossWeight).MoveToOuterDisposeScope(),
            batch.Count,
            plans.Length == 0 ? null : [.. plans.Select(plan => plan.ExpertCounts_E.MoveToOuterDisposeScope())]);
    }

    /// <summary>
    /// How often the right candidate is the first (for retrieval: the text of a picture among those of its batch) and the mean log-loss,
    /// each the mean over tasks. In evaluation mode; the model gets its mode back.
    /// </summary>
    /// <param name="batches">Everything to judge by; each batch is disposed.</param>
    /// <param name="cancellationToken">Stops between two batches.</param>
    /// <exception cref="InvalidOperationException">There is no batch.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public ValidationResult Evaluate(IEnumerable<GeneralistBatch> batches, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(batches);
        using var _ = no_grad();
        var wasTraining = model.training;
        model.eval();
        var tasks = new Dictionary<string, (double Right, double Loss, long Count)>();
        try
        {
            foreach (var batch in batches)
            {
                using var owned = batch;
                cancellationToken.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                var answers = Answer(batch);
                var sums = tasks.GetValueOrDefault(batch.Task.Name);
                tasks[batch.Task.Name] = (
                    sums.Right + answers.Scores_RM.argmax(1).eq(answers.Labels_R).sum().ReadDouble(),
                    sums.Loss + nn.functional.cross_entropy(answers.Scores_RM, answers.Labels_R, reduction: nn.Reduction.Sum).ReadDouble(),
                    sums.Count + answers.Labels_R.shape[0]);
            }
        }
        finally
        {
            model.train(wasTraining);
        }
        return tasks.Count == 0
            ? throw new InvalidOperationException("The validation data has no rows: at least one is wanted.")
            : new ValidationResult(
                tasks.Values.Average(task => task.Right / task.Count),
                tasks.Values.Average(task => task.Loss / task.Count),
                "MeanAccuracy",
                HigherIsBetter: true);
    }

    /// <summary>Embeds the inputs of a task.</summary>
    internal static GeneralistSequence EmbedInputs(
        Generalist model, GeneralistTask task, Tensor? pictures, PaddedTexts? texts, Tensor? hidden_NL = null)
    {
        if (task.Kind == GeneralistTaskKind.CausalLanguageModel)
            return model.EmbedCausalText(texts!.Ids_NL, task.InputRole, texts.Mask_NL);
        if (task.Kind.InputModality() == TokenModality.Text)
            return model.EmbedText(texts!.Ids_NL, task.InputRole, texts.Mask_NL, hidden_NL);
        var picture = EmbedPictures(model, task, pictures!);
        return task.Kind.IsCaption() ? model.EmbedDescription(picture, texts!.Ids_NL, task.DescriptionRole, texts.Mask_NL) : picture;
    }

    /// <summary>Embeds the images or videos of a task.</summary>
    internal static GeneralistSequence EmbedPictures(Generalist model, GeneralistTask task, Tensor pictures) =>
        task.Kind.InputModality() == TokenModality.Video
            ? model.EmbedVideos(pictures, task.InputRole)
            : model.EmbedImages(pictures, task.InputRole);

    // Every question of a batch with the scores of all candidates.
    private Answers Answer(GeneralistBatch batch)
    {
        using var scope = NewDisposeScope();
        var inputs = model.Encode(EmbedInputs(model, batch.Task, batch.Pictures, batch.Texts, batch.Hidden_NL));
        var candidates = model.Encode(model.EmbedText(batch.Candidates.Ids_NL, batch.Task.TargetRole, batch.Candidates.Mask_NL));
        var (questions_RD, labels_R) = (inputs.Representation_ND(), batch.Labels);
        if (batch.Task.Kind.PredictsTokens())
        {
            // Of a masked text the words stand where they stood; of a causal one the questions stand behind the words.
            var (length, states_NLD) = (batch.Labels.shape[1], inputs.States_NLD);
            var first = batch.Task.Kind == GeneralistTaskKind.MaskedLanguageModel ? 1 : states_NLD.shape[1] - length;
            var labels = batch.Labels.flatten();
            var asked_R = labels.NotEqualTo(GeneralistBatch.NotAsked).nonzero().squeeze(1);
            questions_RD = states_NLD.narrow(1, first, length).flatten(0, 1).index_select(0, asked_R);
            labels_R = labels.index_select(0, asked_R);
        }
        var scores_RM = batch.Task.Kind.IsClassification()
            ? model.Classify(questions_RD, candidates.Representation_ND(), batch.Task)
            : model.Compare(questions_RD, candidates.Representation_ND(), batch.Task.Kind);
        return new Answers(
            scores_RM.MoveToOuterDisposeScope(),
            labels_R.alias().MoveToOuterDisposeScope(),
            inputs.BalanceLoss.Plus(candidates.BalanceLoss).MoveToOuterDisposeScope(),
            [.. inputs.Routings.Select(routing => routing.MoveToOuterDisposeScope())]);
    }

    // For each text the pictures that it belongs to, all alike.
    private static Tensor Owners(Answers answers)
    {
        var owned_MR = nn.functional.one_hot(answers.Labels_R, answers.Scores_RM.shape[1]).to_type(answers.Scores_RM.dtype).transpose(0, 1);
        return owned_MR / owned_MR.sum(1, keepdim: true);
    }

    private sealed record Answers(Tensor Scores_RM, Tensor Labels_R, Tensor BalanceLoss, IReadOnlyList<ConditionalRouting> Routings);
}
