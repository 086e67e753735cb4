using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Objectives;

[TestClass]
public sealed class GeneralistObjectiveTests
{
    [TestMethod]
    [DataRow(GeneralistTaskKind.ImageClassification)]
    [DataRow(GeneralistTaskKind.VideoClassification)]
    [DataRow(GeneralistTaskKind.TextClassification)]
    [DataRow(GeneralistTaskKind.TextPairClassification)]
    [DataRow(GeneralistTaskKind.ImageTextRetrieval)]
    [DataRow(GeneralistTaskKind.VideoTextRetrieval)]
    public void IsTheWeightedCrossEntropyOfTheCosines(GeneralistTaskKind kind)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(11, CPU);
        using var model = GeneralistConfig.Nano.Build();
        model.eval();
        var task = new GeneralistTask { Name = "a", Kind = kind, LossWeight = 3 };
        var pictures = Pictures(kind);
        var texts = pictures is null ? PaddedTexts.Create([[1, 2], [3], [4, 5, 6]], CPU) : null;
        var candidates = PaddedTexts.Create([[7, 8], [9], [10, 11]], CPU);
        using var batch = new GeneralistBatch(task, pictures, texts, candidates, tensor(new long[] { 2, 0, 1 }));

        var loss = new GeneralistObjective(model).ComputeLoss(batch).Main.ToDouble();

        var x_ND = model.Encode(kind.InputModality() switch
        {
            TokenModality.Text => model.EmbedText(texts!.Ids_NL, task.InputRole, texts.Mask_NL),
            TokenModality.Video => model.EmbedVideos(pictures!, task.InputRole),
            _ => model.EmbedImages(pictures!, task.InputRole),
        }).Representation_ND();
        var y_ND = model.Encode(model.EmbedText(candidates.Ids_NL, task.TargetRole, candidates.Mask_NL)).Representation_ND();
        var scores_NN = model.Compare(x_ND, y_ND, kind);
        var (byRow, byColumn) = (scores_NN.log_softmax(1), scores_NN.log_softmax(0));
        var wanted = -(byRow[0, 2] + byRow[1, 0] + byRow[2, 1]).ToDouble();
        if (kind.IsRetrieval())
            wanted = (wanted - (byColumn[0, 2] + byColumn[1, 0] + byColumn[2, 1]).ToDouble()) / 2;
        Assert.AreEqual(3 * wanted / 3, loss, 1e-4);
    }

    [TestMethod]
    public void AHeadCountsForItsTaskAndLearns()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(14, CPU);
        var task = new GeneralistTask { Name = "a", Kind = GeneralistTaskKind.ImageClassification, ClassNames = ["x", "y"] };
        using var model = (GeneralistConfig.Nano with { Head = task }).Build();
        model.eval();
        var bias_C = model.named_parameters().Single(pair => pair.name == "head.linear.bias").parameter;
        using (no_grad())
            bias_C.copy_(tensor(new[] { 2f, -1f }));
        var (pictures, candidates) = (randn(3, 3, 4, 4), PaddedTexts.Create([[7, 8], [9]], CPU));
        using var batch = new GeneralistBatch(task, pictures, null, candidates, tensor(new long[] { 1, 0, 1 }));

        var loss = new GeneralistObjective(model).ComputeLoss(batch).Main;
        loss.backward();

        var x_ND = model.Encode(model.EmbedImages(batch.Pictures!, task.InputRole)).Representation_ND();
        var y_ND = model.Encode(model.EmbedText(batch.Candidates.Ids_NL, task.TargetRole, batch.Candidates.Mask_NL)).Representation_ND();
        var logits_NM = model.Compare(x_ND, y_ND, task.Kind) + tensor(new[] { 2f, -1f });
        var byRow = logits_NM.log_softmax(1);
        Assert.AreEqual(-(byRow[0, 1] + byRow[1, 0] + byRow[2, 1]).ToDouble() / 3, loss.ToDouble(), 1e-4);
        TensorAssert.AreClose((logits_NM.detach().softmax(1).sum([0]) - tensor(new[] { 1f, 2f })) / 3, bias_C.grad!, 1e-4);
    }

    [TestMethod]
    public void ATextOfTwoPicturesIsAsGoodAsEither()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(12, CPU);
        using var model = GeneralistConfig.Nano.Build();
        model.eval();
        var task = new GeneralistTask { Name = "a", Kind = GeneralistTaskKind.ImageTextRetrieval };
        var (pictures, candidates) = (randn(3, 3, 4, 4), PaddedTexts.Create([[7, 8], [9]], CPU));
        using var batch = new GeneralistBatch(task, pictures, null, candidates, tensor(new long[] { 1, 0, 1 }));

        var loss = new GeneralistObjective(model).ComputeLoss(batch).Main.ToDouble();

        var scores_NM = model.Compare(
            model.Encode(model.EmbedImages(pictures, task.InputRole)).Representation_ND(),
            model.Encode(model.EmbedText(candidates.Ids_NL, task.TargetRole, candidates.Mask_NL)).Representation_ND(), task.Kind);
        var (byRow, byColumn) = (scores_NM.log_softmax(1), scores_NM.log_softmax(0));
        var texts = -(byRow[0, 1] + byRow[1, 0] + byRow[2, 1]).ToDouble() / 3;
        var owners = -(byColumn[1, 0] + ((byColumn[0, 1] + byColumn[2, 1]) / 2)).ToDouble() / 2;
        Assert.AreEqual((texts + owners) / 2, loss, 1e-4);
    }

    [TestMethod]
    [DataRow(GeneralistTaskKind.MaskedLanguageModel)]
    [DataRow(GeneralistTaskKind.CausalLanguageModel)]
    [DataRow(GeneralistTaskKind.ImageCaption)]
    [DataRow(GeneralistTaskKind.VideoCaption)]
    public void TokensAreAskedWhereTheyStand(GeneralistTaskKind kind)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(13, CPU);
        using var model = GeneralistConfig.Nano.Build();
        model.eval();
        var task = new GeneralistTask { Name = "a", Kind = kind };
        var masked = kind == GeneralistTaskKind.MaskedLanguageModel;
        var pictures = kind.IsCaption() ? Pictures(kind) : null;
        var texts = PaddedTexts.Create([[1, 2, 3], [4, 5], [6]], CPU);
        var asked_NL = masked ? tensor(new[,] { { false, true, false }, { true, false, false }, { true, false, false } }) : texts.Mask_NL;
        var labels_NL = where(asked_NL, texts.Ids_NL, full_like(texts.Ids_NL, GeneralistBatch.NotAsked));
        var vocabulary = PaddedTexts.Create([.. Enumerable.Range(0, 8).Select(id => new[] { id, 7 })], CPU);
        using var batch = new GeneralistBatch(task, pictures, texts, vocabulary, labels_NL, masked ? asked_NL.alias() : null);
        var objective = new GeneralistObjective(model, labelSmoothing: 0.3);   // tokens are not smoothed

        var loss = objective.ComputeLoss(batch).Main.ToDouble();

        var vocabulary_VD = model.Encode(model.EmbedText(vocabulary.Ids_NL, task.TargetRole, vocabulary.Mask_NL)).Representation_ND();
        var (sum, count) = (0.0, 0);
        int[][] all = [[1, 2, 3], [4, 5], [6]];
        for (var row = 0; row < 3; row++)
        {
            // Each text on its own, without padding.
            var ids_1L = tensor(Array.ConvertAll(all[row], id => (long)id)).unsqueeze(0);
            var sequence = kind switch
            {
                GeneralistTaskKind.MaskedLanguageModel => model.EmbedText(
                    ids_1L, task.InputRole, null, asked_NL[row].narrow(0, 0, all[row].Length).unsqueeze(0)),
                GeneralistTaskKind.CausalLanguageModel => model.EmbedCausalText(ids_1L, task.InputRole),
                GeneralistTaskKind.ImageCaption => model.EmbedDescribed(
                    pictures!.narrow(0, row, 1), ids_1L, task.InputRole, task.DescriptionRole),
                _ => model.EmbedDescription(model.EmbedVideos(pictures!.narrow(0, row, 1), task.InputRole), ids_1L, task.DescriptionRole),
            };
            var states_LD = model.Encode(sequence).States_NLD[0];
            for (var word = 0; word < all[row].Length; word++)
            {
                if (!asked_NL[row, word].item<bool>())
                    continue;
                var state_1D = states_LD[masked ? word + 1 : states_LD.shape[0] - all[row].Length + word].unsqueeze(0);
                sum -= model.Compare(state_1D, vocabulary_VD, kind).log_softmax(1)[0, all[row][word]].ToDouble();
                count++;
            }
        }
        Assert.AreEqual(sum / count, loss, 1e-4);
    }

    [TestMethod]
    public void EvaluatesTasksAlike()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(14, CPU);
        using var model = GeneralistConfig.Nano.Build();
        var (one, other) = (
            new GeneralistTask
            {
                Name = "one",
                Kind = GeneralistTaskKind.TextClassification,
                LossWeight = 5,
            },
            new GeneralistTask { Name = "other", Kind = GeneralistTaskKind.TextClassification }
        );
        var objective = new GeneralistObjective(model);
        GeneralistBatch Batch(GeneralistTask task, int[][] texts, long[] labels) =>
            new(
                task,
                null,
                PaddedTexts.Create(texts, CPU),
                PaddedTexts.Create(
                    [
                        [7],
                        [9, 1],
                    ],
                    CPU),
                tensor(labels));

        var all = objective.Evaluate([Batch(one, [[1], [2]], [0, 1]), Batch(one, [[3]], [0]), Batch(other, [[4]], [1])]);
        Assert.IsTrue(model.training);

        double[] losses = [LossOf(one, [[1], [2], [3]], [0, 1, 0]), LossOf(other, [[4]], [1])];
        Assert.AreEqual(losses.Average(), all.Loss, 1e-5);
        Assert.AreEqual("MeanAccuracy", all.MetricName);
        Assert.IsTrue(all.Metric is >= 0 and <= 1);
        Assert.ThrowsExactly<InvalidOperationException>(() => objective.Evaluate([]));

        double LossOf(GeneralistTask task, int[][] texts, long[] labels)
        {
            model.eval();
            using var batch = Batch(task with { LossWeight = 1 }, texts, labels);
            return objective.ComputeLoss(batch).Main.ToDouble();
        }
    }

    [TestMethod]
    public void RoutersThatLookAtTheDataCountAndBalance()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(15, CPU);
        using var model = (
            GeneralistConfig.Nano with { Block = GeneralistConfig.Nano.Block with { RoutingLevel = RoutingLevel.Token } }
        ).Build();
        var task = new GeneralistTask { Name = "a", Kind = GeneralistTaskKind.TextClassification };
        using var batch = new GeneralistBatch(
            task,
            null,
            PaddedTexts.Create(
                [
                    [1, 2],
                    [3],
                ],
                CPU),
            PaddedTexts.Create(
                [
                    [7],
                    [9],
                ],
                CPU),
            tensor(new long[] { 0, 1 }));

        var loss = new GeneralistObjective(model, balanceLossWeight: 0.5).ComputeLoss(batch);

        Assert.HasCount(4, loss.ExpertCounts_E!);   // 2 blocks of 2 gates
        Assert.AreEqual(2 * 5, loss.ExpertCounts_E![0].sum().ToInt64());   // 3 words and a <SPE> a text, 2 experts each
        Assert.IsGreaterThan(0.5 * 2 * 4 * 0.5, loss.Auxiliary.ToDouble());   // each loss is 1 where all experts are used alike
    }

    [TestMethod]
    public void LeavesNoTensorBehind()
    {
        using var outer = NewDisposeScope();
        using var model = GeneralistConfig.Nano.Build();
        var objective = new GeneralistObjective(model);
        Run();

        var before = LiveTensors.Count();
        Run();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Run()
        {
            using var scope = NewDisposeScope();
            var task = new GeneralistTask { Name = "a", Kind = GeneralistTaskKind.ImageTextRetrieval };
            using var batch = new GeneralistBatch(
                task,
                randn(2, 3, 4, 4),
                null,
                PaddedTexts.Create(
                    [
                        [1],
                        [2, 3],
                    ],
                    CPU),
                tensor(new long[] { 0, 1 }));
            objective.ComputeLoss(batch).Main.backward();
            model.zero_grad(set_to_none: true);
        }
    }

    [TestMethod]
    public void RefusesABatchThatDoesNotSuitItsTaskAndTextsWithoutTokens()
    {
        using var scope = NewDisposeScope();
        var task = new GeneralistTask { Name = "a", Kind = GeneralistTaskKind.ImageClassification };
        var texts = PaddedTexts.Create(
            [
                [1],
            ],
            CPU);
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() => new GeneralistBatch(task, zeros(1, 3, 4, 4), texts, texts, zeros([1], int64)))
                .Message,
            "has texts");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new GeneralistBatch(task, null, null, texts, zeros([1], int64))).Message,
            "has not pictures");
        Assert.ThrowsExactly<ArgumentException>(() =>
            PaddedTexts.Create(
                [
                    [1],
                    [],
                ],
                CPU));
        TensorAssert.AreEqual(
            [1, 2, 3, 0],
            PaddedTexts
                .Create(
                    [
                        [1, 2],
                        [3],
                    ],
                    CPU)
                .Ids_NL);
        TensorAssert.AreEqual(
            [1, 1, 1, 0],
            PaddedTexts
                .Create(
                    [
                        [1, 2],
                        [3],
                    ],
                    CPU)
                .Mask_NL);
    }

    private static Tensor? Pictures(GeneralistTaskKind kind) => kind.InputModality() switch
    {
        TokenModality.Image => randn(3, 3, 4, 4),
        TokenModality.Video => randn([3, 2, 3, 4, 4]),
        _ => null,
    };
}
