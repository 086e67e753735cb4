// How often each expert is activated, by block, task and modality. Uni-Perceiver-MoE, arXiv 2206.04674, figures 1 and 2.
//
// Axes: L = tokens of a sequence, T = decisions (tokens that count, or roles), E = experts, K = experts chosen.

using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Measures which experts the tokens of tasks go to.</summary>
internal static class ExpertActivation
{
    /// <summary>
    /// Measures every gate of a model, in evaluation mode, so without noise. Padding and prompts do not count. Where gates look at tokens,
    /// the numbers are those of the tokens that are read; where they look at roles, all tokens of a role have the same, and one batch tells
    /// them exactly. The model gets its mode back; gradients are not touched.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="batches">Batches of the tasks, on the model's device; each is disposed. Targets that all batches of a task have in
    /// common, class names and the vocabulary, are read once.</param>
    /// <param name="cancellationToken">Stops between two batches.</param>
    /// <returns>Two gates for each block with experts, and for each of them the roles of all tasks in the order in which they
    /// came.</returns>
    /// <exception cref="InvalidOperationException">The model has no experts, or there is no batch.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static IReadOnlyList<GateActivation> Measure(
        Generalist model, IEnumerable<GeneralistBatch> batches, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batches);
        int[] sparse = [.. Enumerable.Range(0, model.Config.Blocks).Where(model.Config.IsSparse)];
        if (sparse.Length == 0)
            throw new InvalidOperationException("The model has no experts: at least one block with experts is wanted.");
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var wasTraining = model.training;
        model.eval();
        var sums = new OrderedDictionary<TokenRole, Sums[]>();
        var read = new HashSet<string>();   // tasks whose targets have been read
        try
        {
            foreach (var batch in batches)
            {
                using var owned = batch;
                cancellationToken.ThrowIfCancellationRequested();
                using var inner = NewDisposeScope();
                var task = batch.Task;
                Add(GeneralistObjective.EmbedInputs(model, task, batch.Pictures, batch.Texts, batch.Hidden_NL));
                if (task.Kind.IsRetrieval() || read.Add(task.Name))
                    Add(model.EmbedText(batch.Candidates.Ids_NL, task.TargetRole, batch.Candidates.Mask_NL));
            }
        }
        finally
        {
            model.train(wasTraining);
        }
        return sums.Count > 0
            ?
            [
                .. Enumerable
                    .Range(0, 2 * sparse.Length)
                    .SelectMany(gate =>
                        sums.Select(pair => pair.Value[gate].ToActivation(sparse[gate / 2], (BlockGate)(gate % 2), pair.Key))),
            ]
            : throw new InvalidOperationException("There is no batch: at least one is wanted.");

        void Add(GeneralistSequence sequence)
        {
            foreach (var (gate, routing) in model.Encode(sequence).Routings.Index())
            {
                foreach (var (role, gates_E, chosen_E, count) in Count(sequence.Layout, routing, model.Config.Block.Experts!.Value))
                {
                    if (!sums.TryGetValue(role, out var ofRole))
                        sums.Add(
                            role,
                            ofRole = [.. Enumerable.Range(0, 2 * sparse.Length).Select(_ => new Sums(model.Config.Block.Experts.Value))]);
                    ofRole[gate].Add(gates_E, chosen_E, count);
                }
            }
        }
    }

    // What a gate gave the tokens of each role in one forward pass, summed over them, and how many they were.
    private static List<(TokenRole Role, double[] Gates_E, double[] Chosen_E, long Count)> Count(
        SequenceLayout layout, ConditionalRouting routing, int experts)
    {
        using var scope = NewDisposeScope();
        var (ids_TK, gates_TK) = (routing.Decision.ExpertIds_TK, routing.Decision.Gates_TK.to_type(float64));
        var empty_TE = zeros([ids_TK.shape[0], experts], float64, ids_TK.device);
        var (gates_TE, chosen_TE) = (empty_TE.scatter(1, ids_TK, gates_TK), empty_TE.scatter(1, ids_TK, ones_like(gates_TK)));
        var role_T = RoleOfDecision(layout, routing);
        var found = new List<(TokenRole, double[], double[], long)>();
        foreach (var (index, role) in layout.Roles.Index())
        {
            var rows_T = role_T.EqualTo(index).nonzero().squeeze(1);
            if (rows_T.numel() > 0)
                found.Add((role, Sum(gates_TE, rows_T), Sum(chosen_TE, rows_T), rows_T.numel()));
        }
        return found;
    }

    // Which of the layout's roles each row of a decision is for, int64 (T).
    private static Tensor RoleOfDecision(SequenceLayout layout, ConditionalRouting routing)
    {
        using var scope = NewDisposeScope();
        var device = routing.Decision.ExpertIds_TK.device;
        if (routing.Plan is null)
            return Range(layout.Roles.Count, int64, device).MoveToOuterDisposeScope();
        var role_L = cat([.. layout.Parts.Select((part, index) => Filled([part.Length], layout.RoleOf(index), int64, device))]);
        var place_T = routing.Tokens_T ?? Range(routing.Decision.ExpertIds_TK.shape[0], int64, device);
        return role_L.index_select(0, place_T.Modulo(layout.Length)).MoveToOuterDisposeScope();
    }

    private static double[] Sum(Tensor values_TE, Tensor rows_T)
    {
        using var scope = NewDisposeScope();
        return values_TE.index_select(0, rows_T).sum([0]).cpu().data<double>().ToArray();
    }

    /// <summary>What one gate gave the tokens of one role so far.</summary>
    private sealed class Sums(int experts)
    {
        private readonly double[] gates_E = new double[experts];
        private readonly double[] chosen_E = new double[experts];
        private long count;

        public void Add(double[] gates, double[] chosen, long tokens)
        {
            for (var expert = 0; expert < gates_E.Length; expert++)
            {
                gates_E[expert] += gates[expert];
                chosen_E[expert] += chosen[expert];
            }
            count += tokens;
        }

        public GateActivation ToActivation(int block, BlockGate gate, TokenRole role) =>
            new(block, gate, role, [.. gates_E.Select(sum => sum / count)], [.. chosen_E.Select(sum => sum / count)]);
    }
}
