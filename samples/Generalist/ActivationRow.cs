using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;

namespace GeneralistSample;

/// <summary>How much one gate gives some tokens of a task to each expert.</summary>
/// <param name="Block">The block, from 0.</param>
/// <param name="Gate">Which of its two gates.</param>
/// <param name="Tokens">The task, what the tokens are, and whether they are of the targets.</param>
/// <param name="Shares">The weight of each expert; they sum to 1.</param>
internal sealed record ActivationRow(int Block, string Gate, string Tokens, IReadOnlyList<double> Shares)
{
    private const int Rows = 128;

    /// <summary>Measures a model with experts on all tasks of some data.</summary>
    public static IReadOnlyList<ActivationRow> Measure(GeneralistTransformer model, SampleData data) =>
        [
            .. model
                .MeasureExpertActivation([.. data.Tasks.Select(task => (task.Name, data.Test[task.Name]))], Rows)
                .Select(activation =>
                {
                    var role = activation.Role;
                    var target = model.Tasks.Any(task => task.Name == role.Task && task.TargetRole.Equals(role));
                    return new ActivationRow(
                        activation.Block,
                        activation.Gate.ToString(),
                        $"{role.Task}: {(target ? "targets" : role.Modality.ToString().ToLowerInvariant())}",
                        activation.Shares);
                }),
        ];
}
