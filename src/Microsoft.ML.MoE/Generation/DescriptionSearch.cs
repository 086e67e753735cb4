// Writes the words of a description one after the other, or those that follow a text, by beam search: of all beginnings the best few are
// kept. Uni-Perceiver, arXiv 2112.01522, appendix B.
//
// Axes: N = pictures, B = beginnings of all of them, L = tokens, V = vocabulary, D = model width.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Generation;

/// <summary>
/// Beam search over the tokens of a <see cref="Generalist"/>; with one beam greedy. A description's score is the mean log-probability of
/// its tokens, its end among them.
/// </summary>
internal sealed class DescriptionSearch
{
    private readonly Generalist model;
    private readonly GeneralistTask task;
    private readonly Tensor vocabulary_VD;
    private readonly int endToken;
    private readonly MergedExperts? merged;
    private readonly HashSet<int> excluded;

    /// <summary>Makes a search.</summary>
    /// <param name="model">The model, in evaluation mode.</param>
    /// <param name="task">A task that describes, or <see cref="GeneralistTaskKind.CausalLanguageModel"/>.</param>
    /// <param name="vocabulary_VD">The representations of all tokens as targets of the task, float32 (V, D); stays the caller's.</param>
    /// <param name="endToken">The token that ends a description.</param>
    /// <param name="merged">Keeps the merged experts; null to merge them anew.</param>
    /// <param name="excluded">Tokens that must not come; null for none.</param>
    /// <exception cref="ArgumentException">The task predicts no words in their order.</exception>
    public DescriptionSearch(
        Generalist model,
        GeneralistTask task,
        Tensor vocabulary_VD,
        int endToken,
        MergedExperts? merged = null,
        IEnumerable<int>? excluded = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(vocabulary_VD);
        if (!task.Kind.IsCaption() && task.Kind != GeneralistTaskKind.CausalLanguageModel)
            throw new ArgumentException(
                $"Task '{task.Name}' is {task.Kind}; one that describes pictures or continues texts is wanted.", nameof(task));
        (this.model, this.task, this.vocabulary_VD, this.endToken, this.merged, this.excluded) = (
            model, task, vocabulary_VD, endToken, merged, [.. excluded ?? []]);
    }

    /// <summary>Describes pictures.</summary>
    /// <param name="pictures">What <see cref="Generalist.EmbedImages"/> or <see cref="Generalist.EmbedVideos"/> made of N pictures in the
    /// task's role.</param>
    /// <param name="beams">Beginnings that are kept of each, at least 1.</param>
    /// <param name="mostTokens">Tokens of a description at most, at least 1; never more than the model's
    /// <see cref="GeneralistConfig.TextLength"/>.</param>
    /// <returns>The tokens of each description, without the end.</returns>
    /// <exception cref="ArgumentException">A number is out of range.</exception>
    public int[][] Describe(GeneralistSequence pictures, int beams, int mostTokens)
    {
        ArgumentNullException.ThrowIfNull(pictures);
        return Run(pictures, (int)pictures.Tokens_NLD.shape[0], [], beams, mostTokens);
    }

    /// <summary>
    /// Continues a text. Where it and what may follow are longer than the model's <see cref="GeneralistConfig.TextLength"/>, the model
    /// reads as much of the text's end as leaves room for what follows, at least half of what it takes; where that is full, it goes on from
    /// the end of both.
    /// </summary>
    /// <param name="text">Its tokens.</param>
    /// <param name="beams">Beginnings that are kept, at least 1.</param>
    /// <param name="mostTokens">Tokens of the continuation at most, at least 1.</param>
    /// <returns>The tokens that follow, without the end.</returns>
    /// <exception cref="ArgumentException">A number is out of range.</exception>
    public int[] Continue(IReadOnlyList<int> text, int beams, int mostTokens)
    {
        ArgumentNullException.ThrowIfNull(text);
        OptionChecks.AtLeast(1, mostTokens, nameof(mostTokens));
        return Run(null, 1, [.. text.TakeLast(model.Config.TextLength - Room(mostTokens))], beams, mostTokens)[0];
    }

    // Tokens that are found before the model goes on from the end. It never reads only the last few places, where texts that were cut in
    // training had their end.
    private int Room(int mostTokens) => Math.Clamp(model.Config.TextLength / 2, 1, mostTokens);

    // Tokens that the model reads before it finds one.
    private int LengthBefore(int prompt, int found, int mostTokens)
    {
        var (first, room) = (model.Config.TextLength - prompt, Room(mostTokens));
        return found < first ? prompt + found : model.Config.TextLength - room + ((found - first) % room);
    }

    private int[][] Run(GeneralistSequence? pictures, int count, int[] prompt, int beams, int mostTokens)
    {
        OptionChecks.AtLeast(1, beams, nameof(beams));
        OptionChecks.AtLeast(1, mostTokens, nameof(mostTokens));
        using var noGrad = no_grad();
        if (pictures is not null)
            mostTokens = Math.Min(mostTokens, model.Config.TextLength);
        Beginning[][] kept = [.. Enumerable.Range(0, count).Select(_ => new[] { new Beginning([], 0, Ended: false) })];
        for (var place = 0; place < mostTokens; place++)
        {
            var open = kept.SelectMany((all, picture) => all.Where(one => !one.Ended).Select(one => (picture, one))).ToArray();
            if (open.Length == 0)
                break;
            var next = NextTokens(pictures, prompt, open, LengthBefore(prompt.Length, place, mostTokens), beams);
            var byPicture = open.Zip(next).ToLookup(pair => pair.First.picture, pair => pair.Second);
            for (var picture = 0; picture < count; picture++)
                kept[picture] =
                [
                    .. kept[picture]
                        .Where(one => one.Ended)
                        .Concat(byPicture[picture].SelectMany(all => all))
                        .OrderByDescending(one => one.Score)
                        .Take(beams),
                ];
        }
        return Array.ConvertAll(kept, all => all[0].Tokens);
    }

    // The best few tokens after each beginning.
    private Beginning[][] NextTokens(
        GeneralistSequence? pictures, int[] prompt, (int Picture, Beginning Beginning)[] open, int before, int beams)
    {
        using var scope = NewDisposeScope();
        long[] ids =
        [
            .. open.SelectMany(one => prompt.Concat(one.Beginning.Tokens).TakeLast(before).Append(endToken)).Select(id => (long)id),
        ];   // at the next token's place anything may stand
        var ids_BL = tensor(ids, [open.Length, before + 1], int64, vocabulary_VD.device);
        var sequence = pictures is null
            ? model.EmbedCausalText(ids_BL, task.InputRole)
            : model.EmbedDescription(
                pictures with
                {
                    Tokens_NLD = pictures.Tokens_NLD.index_select(
                        0, tensor([.. open.Select(one => (long)one.Picture)], int64, vocabulary_VD.device)),
                },
                ids_BL,
                task.DescriptionRole);
        var states_BD = model.Encode(sequence, merged).States_NLD.select(1, -1);
        var logs_BV = model.Compare(states_BD, vocabulary_VD, task.Kind).log_softmax(-1);
        var (values, tokens) = logs_BV.topk((int)Math.Min(beams + excluded.Count, logs_BV.shape[1]), dim: -1);
        var (best, chosen) = (values.cpu().contiguous().data<float>().ToArray(), tokens.cpu().contiguous().data<long>().ToArray());
        var each = best.Length / open.Length;
        return [.. open.Select((one, row) => Enumerable.Range(row * each, each).Where(i => !excluded.Contains((int)chosen[i])).Take(beams)
            .Select(i => one.Beginning.Append((int)chosen[i], best[i], endToken)).ToArray())];
    }

    private sealed record Beginning(int[] Tokens, double LogProbability, bool Ended)
    {
        public double Score => LogProbability / Math.Max(1, Tokens.Length + (Ended ? 1 : 0));

        public Beginning Append(int token, double logProbability, int end) =>
            token == end
                ? new(Tokens, LogProbability + logProbability, Ended: true)
                : new([.. Tokens, token], LogProbability + logProbability, Ended: false);
    }
}
