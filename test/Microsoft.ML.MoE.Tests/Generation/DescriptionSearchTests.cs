using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Generation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Generation;

[TestClass]
public sealed class DescriptionSearchTests
{
    private const int Vocabulary = 5;
    private const int End = 4;

    private static readonly GeneralistTask Caption = new() { Name = "caption", Kind = GeneralistTaskKind.ImageCaption };
    private static readonly GeneralistTask Causal = new() { Name = "text", Kind = GeneralistTaskKind.CausalLanguageModel };

    [TestMethod]
    public void FindsTheBestOfAllDescriptionsWhereAllBeginningsAreKept()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = Sharp();
        var images_NCHW = randn(3, 3, 4, 4);
        var vocabulary_VD = VocabularyOf(model, Caption);
        using var merged = new MergedExperts();

        var found = new DescriptionSearch(model, Caption, vocabulary_VD, End, merged).Describe(
            model.EmbedImages(images_NCHW, Caption.InputRole), beams: 200, mostTokens: 3);

        // Of every description of at most 3 tokens the mean log-probability, told all at once.
        for (var picture = 0; picture < 3; picture++)
        {
            var best = Descriptions(3).MaxBy(words => Score(words, images_NCHW.narrow(0, picture, 1)))!;
            CollectionAssert.AreEqual(best.TakeWhile(word => word != End).ToArray(), found[picture], $"picture {picture}");
        }

        double Score(int[] words, Tensor image_1CHW)
        {
            using var inner = NewDisposeScope();
            var ids_1L = tensor(Array.ConvertAll(words, word => (long)word)).unsqueeze(0);
            var states_NLD = model.Encode(model.EmbedDescribed(image_1CHW, ids_1L, Caption.InputRole, Caption.DescriptionRole)).States_NLD;
            var logs_LV = model
                .Compare(states_NLD[0].narrow(0, states_NLD.shape[1] - words.Length, words.Length), vocabulary_VD, Caption.Kind)
                .log_softmax(1);
            return words.Select((word, place) => logs_LV[place, word].ToDouble()).Average();
        }
    }

    [TestMethod]
    public void AModelOfOneTokenReadsNothingOfATextAndFindsWhatWasAskedFor()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var model = (GeneralistConfig.Nano with { VocabularySize = Vocabulary, TextLength = 1 }).Build();
        model.eval();
        Assert.HasCount(
            3, new DescriptionSearch(model, Causal, VocabularyFor(model), End, excluded: [End]).Continue([1, 2], beams: 1, mostTokens: 3));

        static Tensor VocabularyFor(Generalist model) => randn(Vocabulary, model.Config.Block.Width);
    }

    [TestMethod]
    public void WithOneBeamEachTokenIsTheMostProbable()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var model = Sharp();
        var vocabulary_VD = VocabularyOf(model, Causal);

        var found = new DescriptionSearch(model, Causal, vocabulary_VD, End).Continue([1, 2], beams: 1, mostTokens: 4);

        CollectionAssert.AreEqual(Greedy(model, vocabulary_VD, [1, 2], 4, excluded: -1), found);
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(3)]
    public void ALongTextGoesOnFromItsEndForAsManyTokensAsAreWanted(int beams)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var model = Sharp();
        var vocabulary_VD = VocabularyOf(model, Causal);
        var length = model.Config.TextLength;
        var random = new Random(5);
        int[] text = [.. Enumerable.Range(0, 3 * length).Select(_ => random.Next(End))];
        var search = new DescriptionSearch(model, Causal, vocabulary_VD, endToken: End, excluded: [End]);

        var found = search.Continue(text, beams, mostTokens: length + 3);

        // The last half, until the model's length is full; then again.
        var half = length / 2;
        Assert.HasCount(length + 3, found);
        CollectionAssert.AreEqual(
            search.Continue(text[^(length - half)..], beams, length + 3), found, "what the model does not read counts for nothing");
        if (beams == 1)
            CollectionAssert.AreEqual(
                Greedy(model, vocabulary_VD, text, length + 3, excluded: End, made => length - half + (made % half)), found);
    }

    [TestMethod]
    public void OfALongTextAsMuchIsReadAsLeavesRoomForWhatFollows()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var model = Sharp();
        var vocabulary_VD = VocabularyOf(model, Causal);
        var length = model.Config.TextLength;
        var random = new Random(6);
        int[] text = [.. Enumerable.Range(0, length).Select(_ => random.Next(End))];
        var search = new DescriptionSearch(model, Causal, vocabulary_VD, endToken: End, excluded: [End]);

        CollectionAssert.AreEqual(
            Greedy(model, vocabulary_VD, text, 3, excluded: End, made => length - 3 + made),
            search.Continue(text, beams: 1, mostTokens: 3));

        // What fits is read from its beginning, and a short text till it is full.
        CollectionAssert.AreEqual(
            Greedy(model, vocabulary_VD, text[..2], length - 2, excluded: End),
            search.Continue(text[..2], beams: 1, mostTokens: length - 2));
        CollectionAssert.AreEqual(
            Greedy(model, vocabulary_VD, text[..2], length - 2, excluded: End),
            search.Continue(text[..2], beams: 1, mostTokens: length + 5)[..(length - 2)]);
    }

    [TestMethod]
    public void ExcludedTokensDoNotCome()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var model = Sharp();
        var vocabulary_VD = VocabularyOf(model, Causal);
        var first = Greedy(model, vocabulary_VD, [1, 2], 1, excluded: End)[0];

        var found = new DescriptionSearch(model, Causal, vocabulary_VD, End, excluded: [first, End]).Continue(
            [1, 2], beams: 2, mostTokens: 4);

        Assert.HasCount(4, found);
        CollectionAssert.DoesNotContain(found, first);
    }

    [TestMethod]
    public void TakesTasksThatPredictWordsInTheirOrder()
    {
        using var scope = NewDisposeScope();
        using var model = Sharp();
        var task = new GeneralistTask { Name = "a", Kind = GeneralistTaskKind.MaskedLanguageModel };
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new DescriptionSearch(model, task, zeros(2, 16), End)).Message,
            "MaskedLanguageModel");
        Assert.ThrowsExactly<ArgumentException>(() =>
            new DescriptionSearch(model, Causal, zeros(2, 16), End).Continue([1], beams: 0, mostTokens: 1));
    }

    // The most probable token each time, after all that are there, or the last of them.
    private static int[] Greedy(
        Generalist model, Tensor vocabulary_VD, int[] text, int most, int excluded, Func<int, int>? lengthBefore = null)
    {
        var words = new List<int>();
        while (words.Count < most)
        {
            long[] ids = [.. text.Concat(words).TakeLast(lengthBefore?.Invoke(words.Count) ?? int.MaxValue).Select(word => (long)word), 0];
            var state_1D = model.Encode(model.EmbedCausalText(tensor(ids).unsqueeze(0), Causal.InputRole)).States_NLD.select(1, -1);
            var scores_V = model.Compare(state_1D, vocabulary_VD, Causal.Kind)[0].data<float>().ToArray();
            var next = Enumerable.Range(0, scores_V.Length).Where(word => word != excluded).MaxBy(word => scores_V[word]);
            if (next == End)
                break;
            words.Add(next);
        }
        return [.. words];
    }

    // Fresh weights tell pictures apart hardly at all.
    private static Generalist Sharp()
    {
        var model = (
            GeneralistConfig.Nano with { VocabularySize = Vocabulary, Block = GeneralistConfig.Nano.Block with { LayerScale = 1 } }
        ).Build();
        model.eval();
        return model;
    }

    private static Tensor VocabularyOf(Generalist model, GeneralistTask task) =>
        model
            .Encode(
                model.EmbedText(
                    tensor(Enumerable.Range(0, Vocabulary).SelectMany(id => new long[] { id, End }).ToArray(), [Vocabulary, 2L]),
                    task.TargetRole))
            .Representation_ND();

    // Words with an end, or as many as there may be.
    private static IEnumerable<int[]> Descriptions(int most)
    {
        int[][] open = [[]];
        for (var length = 1; length <= most; length++)
        {
            int[][] longer = [.. open.SelectMany(words => Enumerable.Range(0, Vocabulary).Select(word => (int[])[.. words, word]))];
            foreach (var words in longer.Where(words => words[^1] == End || length == most))
                yield return words;
            open = [.. longer.Where(words => words[^1] != End)];
        }
    }
}
