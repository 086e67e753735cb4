using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>What every preset of a language model keeps to.</summary>
[TestClass]
public sealed class LanguageModelTests
{
    private const long SmallEnoughToTrain = 1_000_000;

    public static IEnumerable<string> All => LanguageModelPresets.All.Select(preset => preset.Name);

    public static IEnumerable<string> Small =>
        LanguageModelPresets.All.Where(preset => preset.Config.GetCost().Parameters < SmallEnoughToTrain).Select(preset => preset.Name);

    // Experts that choose their tokens look at all of a text: exempt from what says that no token looks ahead.
    public static IEnumerable<string> Causal => Small.Where(name => Config(name).SparseLayer is not ExpertChoiceOptions);

    [TestMethod]
    [DynamicData(nameof(All))]
    public void TheCost_IsThatOfTheModel(string name)
    {
        var config = Config(name);
        using var model = config.Build(META);
        var cost = config.GetCost();
        Assert.AreEqual(model.parameters().DistinctBy(parameter => parameter.Handle).Sum(parameter => parameter.numel()), cost.Parameters);
        Assert.IsTrue(cost.ActiveParameters > 0 && cost.ActiveParameters <= cost.Parameters);
        if (config.SparseLayer is null && !config.TieEmbeddings)
            Assert.AreEqual(
                cost.Parameters - ((long)(config.VocabularySize - 1) * config.Width),
                cost.ActiveParameters,
                "a dense model uses all but the other tokens' vectors");
    }

    [TestMethod]
    public void TheCost_OfASmallDenseModel_IsThatWorkedOutByHand()
    {
        // V 10, C 4, D 8, 2 blocks, F 32. Block: 4 · (64 + 8) attention, 2 · 16 norms, 8 · 32 + 32 + 32 · 8 + 8 feed-forward = 288 + 32 +
        // 552 = 872. Embedding 80, head 80 + 10, final norm 16. Multiply-adds: head 80, block 4 · 64 + 8 · 5 (half of 4 positions, scores
        // and values) + 512.
        var config = new LanguageModelConfig { VocabularySize = 10, ContextLength = 4, Width = 8, Heads = 2, Blocks = 2 };
        Assert.AreEqual(new ModelCost(80 + 90 + 16 + (2 * 872), 8 + 90 + 16 + (2 * 872), 80 + (2 * (256 + 40 + 512))), config.GetCost());
        Assert.AreEqual(
            new ModelCost(80 + 32 + 16 + (2 * 872), 80 + 8 + 16 + (2 * 872), 80 + (2 * (256 + 40 + 512))),
            (config with { TieEmbeddings = true, Positions = PositionKind.Learned }).GetCost());
    }

    [TestMethod]
    [DynamicData(nameof(Small))]
    public void EveryParameterGetsAFiniteGradient(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        using var model = Build(name);
        var ids_NL = Tokens(model, 8, 32);
        var output = model.forward(ids_NL);
        (nn.functional.cross_entropy(output.Logits_NLV.flatten(0, 1), ids_NL.roll(-1, 1).flatten()) + output.AuxiliaryLoss).backward();

        Assert.IsTrue(output.Logits_NLV.isfinite().all().ToBoolean());
        foreach (var (parameterName, parameter) in model.named_parameters().Where(pair => pair.parameter.requires_grad))
        {
            Assert.IsNotNull(parameter.grad, parameterName);
            Assert.IsTrue(parameter.grad.isfinite().all().ToBoolean(), parameterName);
            Assert.IsGreaterThan(0, parameter.grad.abs().max().ToDouble(), parameterName);
        }
        Assert.HasCount(model.Config.SparseBlocksOrMiddle.Count, output.Selections);
    }

    [TestMethod]
    [DynamicData(nameof(Small))]
    public void SavedWeightsGiveTheSameScores(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var model = Build(name);
        using var file = new MemoryStream();
        ModuleWeights.Save(model, file);

        file.Position = 0;
        using var loaded = LanguageModelConfig.FromJson(model.Config.ToJson()).Build();
        ModuleWeights.Load(loaded, file, file.Length);

        model.eval();
        loaded.eval();
        var ids_NL = Tokens(model, 3, 9);
        TensorAssert.AreClose(model.forward(ids_NL).Logits_NLV, loaded.forward(ids_NL).Logits_NLV, 0);
    }

    [TestMethod]
    [DynamicData(nameof(Causal))]
    public void AFutureToken_ChangesNoPastScores(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = Build(name);
        model.eval();
        var ids_NL = Tokens(model, 2, 12);
        var before_NLV = model.forward(ids_NL).Logits_NLV;
        var changed_NL = ids_NL.clone();
        changed_NL.narrow(1, 7, 5).copy_(((ids_NL.narrow(1, 7, 5) + 1) % model.Config.VocabularySize));
        var after_NLV = model.forward(changed_NL).Logits_NLV;
        TensorAssert.AreClose(before_NLV.narrow(1, 0, 7), after_NLV.narrow(1, 0, 7), 1e-5);
        Assert.IsGreaterThan(1e-3, (before_NLV - after_NLV).narrow(1, 7, 5).abs().max().ToDouble(), "the changed ones do");
    }

    [TestMethod]
    [DynamicData(nameof(Causal))]
    public void ASequencesScores_DoNotDependOnItsBatch_NorOnPadding(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var model = Build(name);
        model.eval();
        var ids_NL = Tokens(model, 4, 10);
        var together_NLV = model.forward(ids_NL).Logits_NLV;
        for (var i = 0; i < 4; i++)
            TensorAssert.AreClose(model.forward(ids_NL.narrow(0, i, 1)).Logits_NLV, together_NLV.narrow(0, i, 1), 1e-4);

        var mask_NL = ones([4, 10], ScalarType.Bool);
        mask_NL.narrow(0, 1, 2).narrow(1, 6, 4).fill_(false);
        TensorAssert.AreClose(together_NLV.narrow(1, 0, 6), model.forward(ids_NL, mask_NL).Logits_NLV.narrow(1, 0, 6), 1e-4);
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void ASequencesScores_AreThoseThatItHasAlone_WhateverTheOptions(string name)
    {
        var config = Shrunk(Config(name));
        ScoresAreThoseOfTheSequenceAlone(config);
        if (config.SparseLayer is not MixtureSlotOptions mixture)
            return;
        foreach (var priority in Enum.GetValues<CapacityPriority>())
            ScoresAreThoseOfTheSequenceAlone(
                config with
                {
                    SparseLayer = mixture with
                    {
                        Mixture = mixture.Mixture with { EvaluationCapacity = new ExpertCapacity(1, Priority: priority) },
                    },
                }
            );
    }

    // Of sequences of unequal length, alone and padded beside each other.
    private static void ScoresAreThoseOfTheSequenceAlone(LanguageModelConfig config)
    {
        int[] lengths = [10, 3, 16, 1, 7];
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(9, CPU);
        using var model = Randomised(config.Build());
        model.eval();
        var ids_NL = Tokens(model, lengths.Length, 16);
        var mask_NL = tensor(
            lengths.SelectMany(length => Enumerable.Range(0, 16).Select(place => place < length)).ToArray(), [lengths.Length, 16]);
        var together = model.forward(ids_NL, mask_NL);
        var alone = lengths.Select((length, i) => model.forward(ids_NL.narrow(0, i, 1).narrow(1, 0, length))).ToArray();
        for (var i = 0; i < lengths.Length; i++)
            TensorAssert.AreClose(alone[i].Logits_NLV, together.Logits_NLV.narrow(0, i, 1).narrow(1, 0, lengths[i]), 1e-4, $"sequence {i}");
        for (var layer = 0; layer < together.Selections.Count; layer++)
        {
            var (all, each) = (together.Selections[layer], alone.Select(output => output.Selections[layer]).ToArray());
            Assert.AreEqual(each.Sum(selection => selection.ExpertIds.numel()), all.ExpertIds.numel(), "choices");
            Assert.AreEqual(each.Sum(selection => selection.Gates.sum().ToDouble()), all.Gates.sum().ToDouble(), 1e-3, "their gates");
            Assert.AreEqual(each.Sum(selection => selection.DroppedCount?.ToInt64() ?? 0), all.DroppedCount?.ToInt64() ?? 0, "dropped");
        }
    }

    // The same layers with everything small that is only a size.
    private static LanguageModelConfig Shrunk(LanguageModelConfig config) => config with
    {
        VocabularySize = 50,
        ContextLength = 16,
        Width = 16,
        Heads = 2,
        FeedForwardWidth = 24,
        Blocks = 3,
        SparseLayer = config.SparseLayer switch
        {
            PeerOptions peer => peer with { Experts = 64, Heads = 2, ExpertsPerHead = 4, QueryWidth = 8 },
            ProductKeyMemoryOptions memory => memory with { Memories = 64, Heads = 2, MemoriesPerHead = 4, QueryWidth = 8 },
            ExpertChoiceOptions choice => choice with { Experts = 4, ExpertWidth = 8 },
            MixtureSlotOptions mixture => mixture with { Mixture = mixture.Mixture with { ExpertWidth = 8 } },
            var other => other,
        },
    };

    [TestMethod]
    [DynamicData(nameof(Causal))]
    public void Advancing_GivesTheScoresOfReadingAllAnew(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        using var model = Build(name);
        model.eval();
        var ids_NL = Tokens(model, 2, 20);
        var whole_NLV = model.forward(ids_NL).Logits_NLV;

        using var cache = model.CreateCache(2);
        var position = 0;
        foreach (var added in new[] { 5, 1, 1, 4, 1, 8 })   // a start, single tokens, several at once
        {
            var logits_NV = model.Advance(ids_NL.narrow(1, position, added), cache);
            position += added;
            Assert.AreEqual(position, cache.Length);
            TensorAssert.AreClose(whole_NLV.select(1, position - 1), logits_NV, 1e-4, $"after {position}");
        }

        cache.Reset();
        TensorAssert.AreClose(whole_NLV.select(1, 2), model.Advance(ids_NL.narrow(1, 0, 3), cache), 1e-4, "used again");
    }

    [TestMethod]
    public void Dropout_ActsInTrainingOnly()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(6, CPU);
        using var model = Randomised((LanguageModelConfig.Nano with { SparseLayer = null, Dropout = 0.5 }).Build());
        var ids_NL = Tokens(model, 1, 8);
        Assert.IsGreaterThan(1e-3, (model.forward(ids_NL).Logits_NLV - model.forward(ids_NL).Logits_NLV).abs().max().ToDouble());
        model.eval();
        TensorAssert.AreClose(model.forward(ids_NL).Logits_NLV, model.forward(ids_NL).Logits_NLV, 0);
    }

    [TestMethod]
    public void InBFloat16_TheScoresAreNear()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(7, CPU);
        using var model = Build("lm-nano-dense");
        using var half = model.Config.Build(computeType: ScalarType.BFloat16);
        half.load_state_dict(model.state_dict());
        model.eval();
        half.eval();
        var ids_NL = Tokens(model, 2, 16);
        var expected_NLV = model.forward(ids_NL).Logits_NLV;
        var deviation = (half.forward(ids_NL).Logits_NLV - expected_NLV).abs().max().ToDouble() / expected_NLV.std().ToDouble();
        Assert.IsTrue(deviation is > 0 and < 0.1, $"{deviation}");
        using var cache = half.CreateCache(2);
        TensorAssert.AreClose(half.forward(ids_NL).Logits_NLV.select(1, 15), half.Advance(ids_NL, cache), 0.1);
    }

    [TestMethod]
    public void ManySteps_LeaveNoTensors()
    {
        using var seed = new SeedScope(8, CPU);
        using var model = Build("lm-nano-peer");
        using var cache = model.CreateCache();
        var before = 0L;
        for (var i = 0; i < 12; i++)
        {
            if (i == 2)
            {
                before = LiveTensors.Count();
            }
            using var scope = NewDisposeScope();
            var ids_NL = Tokens(model, 1, 6);
            model.Advance(ids_NL, cache);
            cache.Reset();
            model.forward(ids_NL);
        }
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    public void BadTokens_AreNamed()
    {
        using var scope = NewDisposeScope();
        using var model = LanguageModelConfig.Nano.Build();
        using var cache = model.CreateCache();
        Throws(() => model.forward(zeros([1, 33], int64)), "33 tokens, and room for 32");
        Throws(() => model.forward(full([1, 2], 257L, int64)), "from 257 to 257");
        Throws(() => model.forward(full([1, 2], -1L, int64)), "from -1");
        Throws(() => model.forward(zeros([1, 2], float32)), "Float32 (1, 2)");
        Throws(() => model.forward(zeros([1, 0], int64)), "(1, 0)");
        Throws(() => model.Advance(zeros([2, 2], int64), cache), "2 sequences");
        model.eval();
        model.Advance(zeros([1, 30], int64), cache);
        Throws(() => model.Advance(zeros([1, 3], int64), cache), "room for 2");
        Throws(() => model.CreateCache(0), "0");

        static void Throws(Action action, string message) =>
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(action).Message, message);
    }

    [TestMethod]
    public void ABadConfiguration_NamesTheProperty()
    {
        var good = LanguageModelConfig.Nano;
        Throws(good with { VocabularySize = 1 }, nameof(good.VocabularySize));
        Throws(good with { ContextLength = 0 }, nameof(good.ContextLength));
        Throws(good with { Width = 31 }, nameof(good.Heads));
        Throws(good with { Width = 30, Heads = 2, SparseLayer = null }, "even");
        Throws(good with { FeedForwardWidth = 0 }, nameof(good.FeedForwardWidth));
        Throws(good with { Dropout = 1 }, nameof(good.Dropout));
        Throws(good with { SparseBlocks = [3] }, "[3]");
        Throws(good with { SparseBlocks = [1, 1] }, "[1, 1]");
        Throws(good with { SparseBlocks = [] }, "at least one");
        Throws(good with { SparseLayer = null, SparseBlocks = [1] }, nameof(good.SparseLayer));
        Throws(good with { SparseLayer = new PeerOptions { Experts = 10 } }, "Experts is 10");
        Assert.ThrowsExactly<InvalidDataException>(() => LanguageModelConfig.FromJson("{\"Wide\":1}"));

        static void Throws(LanguageModelConfig config, string message) =>
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(config.Validate).Message, message);
    }

    [TestMethod]
    public void TheMiddleBlock_IsThePapers()
    {
        Assert.AreEqual(5, LanguageModelConfig.Base.SparseBlocksOrMiddle.Single(), "the sixth of twelve");
        Assert.AreEqual(1, LanguageModelConfig.Small.SparseBlocksOrMiddle.Single());
        Assert.IsEmpty((LanguageModelConfig.Base with { SparseLayer = null }).SparseBlocksOrMiddle);
    }

    private static LanguageModelConfig Config(string name) => LanguageModelPresets.All.Single(preset => preset.Name == name).Config;

    private static LanguageModel Build(string name) => Randomised(Config(name).Build());

    // Fresh weights leave some parameters without effect: heads start at zero.
    private static LanguageModel Randomised(LanguageModel model)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(randn_like(parameter) * 0.2);
        return model;
    }

    private static Tensor Tokens(LanguageModel model, long sequences, long length) =>
        randint(model.Config.VocabularySize, [sequences, length], int64);
}
