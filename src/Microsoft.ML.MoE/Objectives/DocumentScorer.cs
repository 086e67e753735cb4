// How likely a language model finds documents, whole, however long they are.
//
// Axes: N = windows of a batch, L = positions of a window, V = vocabulary, D = model width, T = positions that count, M = experts of a
// position.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>
/// Scores documents by a language model in evaluation mode. Each is read on its own, after a separator, and every token is scored exactly
/// once. What fits into the model's context is read in one window, so that each token sees all before it; longer documents are read in
/// windows that begin half a context further each time, so that every token sees at least the half context before it, and more the nearer
/// it is to the end of its window.
/// </summary>
internal sealed class DocumentScorer
{
    // Scores of this many (position, token) pairs are computed at once: 256 MB.
    private const long MostScores = 1L << 26;

    private const int NumbersAtATime = 1 << 16;   // scores that a plan computes at a time: 256 KB

    private readonly LanguageModel model;
    private readonly LanguageModelPlan? plan;
    private readonly int separator;
    private readonly int batchSize;

    /// <summary>Makes a scorer.</summary>
    /// <param name="model">The model.</param>
    /// <param name="separator">The token before every document.</param>
    /// <param name="batchSize">The most windows that are read at once, at least 1; a large vocabulary makes them fewer.</param>
    /// <param name="plan">The model's plan, by which it is then read where no usage of experts is wanted; null for none.</param>
    /// <exception cref="ArgumentException">The separator is not in the vocabulary, or the batch size is below 1.</exception>
    public DocumentScorer(LanguageModel model, int separator, int batchSize = 32, LanguageModelPlan? plan = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        OptionChecks.AtLeastAndBelow(0, model.Config.VocabularySize, separator, nameof(separator));
        OptionChecks.AtLeast(1, batchSize, nameof(batchSize));
        this.model = model;
        this.plan = plan;
        this.separator = separator;
        this.batchSize = (int)Math.Clamp(MostScores / ((long)model.Config.ContextLength * model.Config.VocabularySize), 1, batchSize);
    }

    /// <summary>Scores documents.</summary>
    /// <param name="documents">The tokens of each.</param>
    /// <param name="withEmbeddings">Whether embeddings are wanted.</param>
    /// <param name="usage">
    /// For each sparse layer, in the order of the blocks, what adds up the experts of the positions that were scored (where experts choose
    /// their tokens: of all positions); null for none.
    /// </param>
    /// <param name="withLikelihoods">Whether log-likelihoods are wanted; else they are NaN, and the scores of tokens are not
    /// computed.</param>
    /// <param name="cancellationToken">Stops between two batches.</param>
    /// <returns>A score for each document, in their order.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public DocumentScore[] Score(
        IReadOnlyList<int[]> documents,
        bool withEmbeddings = false,
        IReadOnlyList<ExpertUsage>? usage = null,
        bool withLikelihoods = true,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        var logLikelihoods = new double[documents.Count];
        var sums = withEmbeddings ? documents.Select(_ => new double[model.Config.Width]).ToArray() : null;
        var sumsOfLikelihoods = withLikelihoods ? logLikelihoods : null;
        if (!withLikelihoods)
            Array.Fill(logLikelihoods, double.NaN);
        if (plan is not null && usage is null)
        {
            ScoreByPlan(documents, sumsOfLikelihoods, sums, cancellationToken);
            return ToScores(documents, logLikelihoods, sums);
        }
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var wasTraining = model.training;
        model.eval();
        try
        {
            // Windows of like length together, for little padding.
            foreach (var batch in Cut(documents).OrderBy(window => window.Length).Chunk(batchSize))
            {
                cancellationToken.ThrowIfCancellationRequested();
                Score(documents, batch, sumsOfLikelihoods, sums, usage);
            }
        }
        finally
        {
            model.train(wasTraining);
        }

        return ToScores(documents, logLikelihoods, sums);
    }

    /// <summary>
    /// The windows of all documents. A document of n tokens has n + 1 positions: the separator and its tokens; the token after each but the
    /// last is scored there.
    /// </summary>
    internal IEnumerable<Window> Cut(IReadOnlyList<int[]> documents)
    {
        var context = model.Config.ContextLength;
        var stride = context - (context / 2);
        for (var document = 0; document < documents.Count; document++)
        {
            var positions = documents[document].Length + 1;
            var end = Math.Min(positions, context);
            yield return new Window(document, 0, end, 0);
            while (end < positions)
            {
                var scored = end;
                end = Math.Min(end + stride, positions);
                yield return new Window(document, end - context, context, scored - (end - context));
            }
        }
    }

    private static DocumentScore[] ToScores(IReadOnlyList<int[]> documents, double[] logLikelihoods, double[][]? sums) =>
        [
            .. documents.Select(
                (document, i) =>
                    new DocumentScore(
                        logLikelihoods[i],
                        document.Length,
                        sums is null ? null : Array.ConvertAll(sums[i], sum => (float)(sum / (document.Length + 1))))),
        ];

    // Windows of like length together; of unequal ones a plan needs no padding. What several windows give to one document is added up in
    // their order, whoever is ready first.
    private unsafe void ScoreByPlan(
        IReadOnlyList<int[]> documents, double[]? logLikelihoods, double[][]? sums, CancellationToken cancellationToken)
    {
        foreach (var batch in Cut(documents).OrderBy(window => window.Length).Chunk(batchSize))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var found = new double[batch.Length];
            var states = sums is null ? null : Array.ConvertAll(batch, _ => new double[model.Config.Width]);
            plan!.Read([.. batch.Select(window => TokensOf(documents, window))], (workspace, row, states_LD) =>
            {
                if (logLikelihoods is not null)
                    found[row] = LogLikelihood(workspace, documents[batch[row].Document], batch[row], states_LD);
                if (states is not null)
                    AddStates(states_LD, batch[row], states[row]);
            });
            for (var row = 0; row < batch.Length; row++)
            {
                if (logLikelihoods is not null)
                    logLikelihoods[batch[row].Document] += found[row];
                for (var i = 0; states is not null && i < model.Config.Width; i++)
                    sums![batch[row].Document][i] += states[row][i];
            }
        }
    }

    private int[] TokensOf(IReadOnlyList<int[]> documents, Window window)
    {
        var tokens = documents[window.Document];
        var ids = new int[window.Length];
        for (var i = 0; i < ids.Length; i++)
            ids[i] = window.Start + i == 0 ? separator : tokens[window.Start + i - 1];
        return ids;
    }

    private unsafe double LogLikelihood(Workspace workspace, int[] tokens, Window window, float* states_LD)
    {
        var (width, vocabulary) = (model.Config.Width, model.Config.VocabularySize);
        var rows = Math.Max(1, NumbersAtATime / vocabulary);
        var logits_LV = workspace.Floats((long)Math.Min(rows, window.Length) * vocabulary);
        var end = Math.Min(window.Length, tokens.Length - window.Start);   // the last position of a document tells nothing of a token
        var sum = 0.0;
        for (var first = window.FirstScored; first < end; first += rows)
        {
            var count = Math.Min(rows, end - first);
            plan!.Score(workspace, states_LD + ((nint)first * width), count, logits_LV);
            for (var i = 0; i < count; i++)
            {
                var logits = logits_LV + ((nint)i * vocabulary);
                var target = logits[tokens[window.Start + first + i]];
                var most = Softmax.Most(logits, vocabulary);
                sum += target - most - Math.Log(Softmax.Exponentiate(logits, vocabulary, 1));
            }
        }
        return sum;
    }

    private unsafe void AddStates(float* states_LD, Window window, double[] sum)
    {
        for (var row = window.FirstScored; row < window.Length; row++)
        {
            var state = states_LD + ((nint)row * sum.Length);
            for (var i = 0; i < sum.Length; i++)
                sum[i] += state[i];
        }
    }

    private void Score(
        IReadOnlyList<int[]> documents, Window[] windows, double[]? logLikelihoods, double[][]? sums, IReadOnlyList<ExpertUsage>? usage)
    {
        using var scope = NewDisposeScope();
        var length = windows.Max(window => window.Length);
        var device = model.parameters().First().device;
        var (ids, targets, present, scored) = (
            new long[windows.Length * length],
            new long[windows.Length * length],
            new bool[windows.Length * length],
            new bool[windows.Length * length]);
        Array.Fill(targets, IgnoredTarget);
        for (var row = 0; row < windows.Length; row++)
        {
            var (window, tokens) = (windows[row], documents[windows[row].Document]);
            for (var i = 0; i < window.Length; i++)
            {
                var (place, position) = ((row * length) + i, window.Start + i);
                ids[place] = position == 0 ? separator : tokens[position - 1];
                present[place] = true;
                scored[place] = i >= window.FirstScored;
                if (scored[place] && position < tokens.Length)
                    targets[place] = tokens[position];
            }
        }

        long[] shape = [windows.Length, length];
        var mask_NL = present.All(value => value) ? null : tensor(present, shape, ScalarType.Bool, device);
        var ids_NL = tensor(ids, shape, int64, device);
        if (logLikelihoods is null && usage is null)
        {
            AddStates(model.Read(ids_NL, mask_NL), tensor(scored, shape, ScalarType.Bool, device), windows, sums!);
            return;
        }
        var output = model.forward(ids_NL, mask_NL);
        var losses_X = nn.functional.cross_entropy(
            output.Logits_NLV.flatten(0, 1), tensor(targets, int64, device), ignore_index: IgnoredTarget, reduction: nn.Reduction.None);
        var losses_N = losses_X.view(shape).sum(1, type: float64).cpu().data<double>().ToArray();
        for (var row = 0; row < windows.Length && logLikelihoods is not null; row++)
            logLikelihoods[windows[row].Document] -= losses_N[row];

        var scored_NL = tensor(scored, shape, ScalarType.Bool, device);
        if (sums is not null)
            AddStates(output.States_NLD, scored_NL, windows, sums);
        if (usage is not null)
            AddUsage(output.Selections, mask_NL, scored_NL, usage);
    }

    private static void AddStates(Tensor states_NLD, Tensor scored_NL, Window[] windows, double[][] sums)
    {
        var sums_ND = (states_NLD * scored_NL.unsqueeze(2)).sum(1, type: float64).cpu().data<double>().ToArray();
        var width = (int)states_NLD.shape[2];
        for (var row = 0; row < windows.Length; row++)
        {
            var sum = sums[windows[row].Document];
            for (var i = 0; i < width; i++)
                sum[i] += sums_ND[(row * width) + i];
        }
    }

    // A layer's selection has a row for every position that is not padding. Those that only serve as context have been counted in another
    // window.
    private void AddUsage(IReadOnlyList<ExpertSelection> selections, Tensor? mask_NL, Tensor scored_NL, IReadOnlyList<ExpertUsage> usage)
    {
        if (usage.Count != selections.Count)
            throw new ArgumentException(
                $"There are {usage.Count} counters of usage; the model has {selections.Count} sparse layers.", nameof(usage));
        var scored_T = mask_NL is null ? scored_NL.flatten() : scored_NL.masked_select(mask_NL);
        var rows_T = scored_T.nonzero().flatten();
        for (var layer = 0; layer < selections.Count; layer++)
        {
            var selection = selections[layer];
            usage[layer].Add(model.Config.SparseLayer is ExpertChoiceOptions ? selection : selection with
            {
                ExpertIds = selection.ExpertIds.index_select(0, rows_T),
                Gates = selection.Gates.index_select(0, rows_T),
            });
        }
    }

    private const long IgnoredTarget = -100;   // libtorch's own choice

    /// <summary>Some positions of a document.</summary>
    /// <param name="Document">Which document.</param>
    /// <param name="Start">Its first position.</param>
    /// <param name="Length">Number of positions.</param>
    /// <param name="FirstScored">The first of them, from 0, that counts; those before are context.</param>
    internal readonly record struct Window(int Document, int Start, int Length, int FirstScored);
}
