using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Objectives;

[TestClass]
public sealed class LanguageModelObjectiveTests
{
    private static readonly LanguageModelConfig Config = LanguageModelConfig.Nano with { VocabularySize = 20, ContextLength = 8 };

    [TestMethod]
    public void TheLoss_IsTheMeanLogProbabilityOfTheNextToken()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        using var model = Model(Config with { SparseLayer = Mixture });
        model.eval();
        var tokens = randint(20, [3, 9], int64);
        using var batch = new TokenBatch(tokens.narrow(1, 0, 8).clone(), tokens.narrow(1, 1, 8).clone());
        var loss = new LanguageModelObjective(model).ComputeLoss(batch);

        var output = model.forward(batch.Inputs_NL);
        var expected = -output.Logits_NLV.log_softmax(2).gather(2, batch.Targets_NL.unsqueeze(2)).mean().ToDouble();
        Assert.AreEqual(expected, loss.Main.ToDouble(), 1e-5);
        Assert.AreEqual(output.AuxiliaryLoss.ToDouble(), loss.Auxiliary.ToDouble(), 1e-6);
        Assert.IsGreaterThan(0, loss.Auxiliary.ToDouble());
        Assert.AreEqual(24, loss.Samples);
        var counts_E = loss.ExpertCounts_E!.Single();
        CollectionAssert.AreEqual(new long[] { 4 }, counts_E.shape);
        Assert.AreEqual(48, counts_E.sum().ToInt64());
    }

    [TestMethod]
    public void LossesAreZeroOrNull_WhereADenseModelHasNone()
    {
        using var scope = NewDisposeScope();
        using var model = Model(Config with { SparseLayer = null });
        using var batch = new TokenBatch(zeros([1, 4], int64), zeros([1, 4], int64));
        var loss = new LanguageModelObjective(model).ComputeLoss(batch);
        Assert.AreEqual(0, loss.Auxiliary.ToDouble());
        Assert.IsNull(loss.ExpertCounts_E);
        Assert.IsNull(loss.DroppedCounts_B);
    }

    [TestMethod]
    public void Windows_ScoreEachTokenOnce_WithAtLeastHalfAContext()
    {
        using var model = Model(Config);
        foreach (var count in new[] { 0, 1, 6, 7, 8, 9, 11, 12, 13, 50, 51 })
        {
            var windows = new DocumentScorer(model, 0).Cut([new int[count]]).ToArray();
            var scored = windows
                .SelectMany(window => Enumerable.Range(window.Start + window.FirstScored, window.Length - window.FirstScored))
                .ToArray();
            CollectionAssert.AreEqual(Enumerable.Range(0, count + 1).ToArray(), scored, $"{count} tokens");
            Assert.IsTrue(
                windows.All(window => window.Length <= 8 && window.Start >= 0 && (window.Start == 0 || window.FirstScored >= 4)),
                $"{count} tokens");
            if (count >= 8)
                Assert.IsTrue(windows.All(window => window.Length == 8), "a full context wherever there is one");
        }
    }

    [TestMethod]
    public void AShortDocument_ScoresAsOneForwardPassSays()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var model = Model(Config);
        model.eval();
        int[] document = [3, 1, 4, 1, 5];
        var output = model.forward(tensor(new long[] { 19, 3, 1, 4, 1, 5 }, [1, 6]));
        var logProbabilities = output.Logits_NLV.log_softmax(2);
        var expected = document.Select((token, i) => logProbabilities[0, i, token].ToDouble()).Sum();

        var score = new DocumentScorer(model, 19).Score([[7], document, [], [1, 2, 3]], withEmbeddings: true)[1];
        Assert.AreEqual(expected, score.LogLikelihood, 1e-4);
        Assert.AreEqual(Math.Exp(-expected / 5), score.Perplexity, 1e-3);
        TensorAssert.AreClose(output.States_NLD.mean([0, 1]), tensor(score.Embedding!), 1e-4);
    }

    [TestMethod]
    public void ALongDocument_ScoresAsItsWindowsSay_HoweverTheyAreBatched()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = Model(Config);
        model.eval();
        int[] document = [.. Enumerable.Range(0, 21).Select(i => i * 7 % 19)];
        int[] positions = [19, .. document];
        var expected = 0.0;
        for (var target = 0; target < document.Length; target++)
        {
            // The window that scores a position: the first ends at 8, the others 4 later each, the last at 22.
            var end = target < 8 ? 8 : Math.Min(8 + (((target - 8) / 4) + 1) * 4, positions.Length);
            var logits = model
                .forward(tensor(positions[(end - 8)..(target + 1)].Select(token => (long)token).ToArray(), [1, target + 1 - (end - 8)]))
                .Logits_NLV;
            expected += logits.log_softmax(2)[0, target - (end - 8), document[target]].ToDouble();
        }

        foreach (var batchSize in new[] { 1, 2, 100 })
            Assert.AreEqual(expected, new DocumentScorer(model, 19, batchSize).Score([document, [1, 2]])[0].LogLikelihood, 1e-3);
    }

    [TestMethod]
    public void NoTokens_HaveDefinedScores()
    {
        using var scope = NewDisposeScope();
        using var model = Model(Config);
        model.eval();
        var score = new DocumentScorer(model, 19).Score([[]], withEmbeddings: true).Single();
        Assert.AreEqual((0.0, 0), (score.LogLikelihood, score.TokenCount));
        Assert.IsTrue(double.IsNaN(score.Perplexity));
        TensorAssert.AreClose(
            model.forward(full([1, 1], 19L, int64)).States_NLD.flatten(), tensor(score.Embedding!), 1e-4, "the separator's own state");
        Assert.IsEmpty(new DocumentScorer(model, 19).Score([]));
        Assert.ThrowsExactly<InvalidOperationException>(() => new LanguageModelObjective(model).Evaluate([[], []], 19));
    }

    [TestMethod]
    public void Evaluation_IsTheMeanOverTokens_AndKeepsTheMode()
    {
        using var model = Model(Config);
        model.train();
        int[][] documents = [[1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]];
        var scores = new DocumentScorer(model, 19).Score(documents);
        var result = new LanguageModelObjective(model).Evaluate(documents, 19);
        Assert.AreEqual(-(scores[0].LogLikelihood + scores[1].LogLikelihood) / 13, result.Loss, 1e-6);
        Assert.AreEqual(Math.Exp(result.Loss), result.Metric, 1e-9);
        Assert.IsFalse(result.HigherIsBetter);
        Assert.IsTrue(model.training);
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(3)]
    public void Usage_CountsEachPositionOnce(int batchSize)
    {
        using var model = Model(Config);
        var usage = new ExpertUsage(256);
        new DocumentScorer(model, 19, batchSize).Score([[1, 2, 3], [.. Enumerable.Range(0, 19)], []], usage: [usage]);
        Assert.AreEqual((4 + 20 + 1) * 8, usage.Pairs, "positions, of 2 heads with 4 experts each");
        Assert.ThrowsExactly<ArgumentException>(() => new DocumentScorer(model, 19).Score([[1]], usage: []));
    }

    [TestMethod]
    public void Scoring_CanBeCancelled_AndLeavesNoTensors()
    {
        using var model = Model(Config);
        var scorer = new DocumentScorer(model, 19);
        scorer.Score([[1, 2, 3]]);
        var before = LiveTensors.Count();
        for (var i = 0; i < 5; i++)
            scorer.Score([[1, 2, 3], [.. Enumerable.Range(0, 19)]], withEmbeddings: true, usage: [new ExpertUsage(256)]);
        Assert.AreEqual(before, Tensor.TotalCount);

        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        Assert.ThrowsExactly<OperationCanceledException>(() => scorer.Score([[1]], cancellationToken: cancel.Token));
    }

    [TestMethod]
    public void Training_LearnsASequenceByHeart()
    {
        using var seed = new SeedScope(4, CPU);
        using var model = (Config with { SparseLayer = (PeerOptions)Config.SparseLayer! }).Build();
        int[] text = [.. Enumerable.Range(0, 60).Select(i => (i * i) % 19)];
        var objective = new LanguageModelObjective(model);
        var before = objective.Evaluate([text], 19).Loss;
        var loop = new TrainingLoop<TokenBatch>(model, objective.ComputeLoss, new TrainingOptions { Epochs = 60, LearningRate = 1e-2 });
        loop.Run(new TokenWindows(TokenWindows.Join([text], 19), 8, 4, seed: 1), token =>
            objective.Evaluate([text], 19, cancellationToken: token));
        Assert.AreEqual(Math.Log(20), before, 0.01, "scores start at zero");
        Assert.IsLessThan(1, objective.Evaluate([text], 19).Loss);
    }

    private static FeedForwardSlotOptions Mixture =>
        LanguageModelPresets.All.Single(preset => preset.Name == "lm-nano-moe").Config.SparseLayer!;

    private static LanguageModel Model(LanguageModelConfig config)
    {
        using var _ = no_grad();
        var model = config.Build();
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(randn_like(parameter) * 0.2);
        return model;
    }
}
