using Microsoft.ML.MoE.Layers;
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
public sealed class ExpertActivationTests
{
    private static readonly GeneralistTask Caption = new() { Name = "caption", Kind = GeneralistTaskKind.ImageCaption };

    [TestMethod]
    [DataRow(RoutingLevel.Attribute)]
    [DataRow(RoutingLevel.Task)]
    [DataRow(RoutingLevel.Modality)]
    [DataRow(RoutingLevel.Token)]
    [DataRow(RoutingLevel.Context)]
    public void SharesSumToOneAndNothingIsLeftBehind(RoutingLevel level)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        using var model = ConfigOf(level).Build();
        model.Encode(model.EmbedImages(randn(2, 3, 4, 4), Caption.InputRole)).States_NLD.square().sum().backward();
        var gradients = model
            .named_parameters()
            .Where(pair => pair.parameter.grad is not null)
            .ToDictionary(pair => pair.name, pair => pair.parameter.grad!.clone());
        Measure();

        var before = LiveTensors.Count();
        var found = Measure();
        Assert.AreEqual(before, Tensor.TotalCount);

        Assert.HasCount(2 * 2 * 3, found);
        foreach (var one in found)
        {
            Assert.AreEqual(1, one.Shares.Sum(), 1e-6, $"{one.Role}");
            Assert.AreEqual(2, one.Frequencies.Sum(), 1e-6, $"{one.Role}");
            Assert.IsTrue(one.Shares.Concat(one.Frequencies).All(share => share is >= 0 and <= 1));
        }
        CollectionAssert.AreEqual(
            new[] { (0, BlockGate.Attention), (0, BlockGate.FeedForward), (1, BlockGate.Attention), (1, BlockGate.FeedForward) },
            found.Select(one => (one.Block, one.Gate)).Distinct().ToArray());
        CollectionAssert.AreEqual(
            new[] { Caption.InputRole, Caption.DescriptionRole, Caption.TargetRole }, found.Take(3).Select(one => one.Role).ToArray());
        Assert.IsTrue(model.training);
        foreach (var (name, parameter) in model.named_parameters())
            Assert.IsTrue(
                gradients.TryGetValue(name, out var gradient) ? parameter.grad!.equal(gradient).all().ToBoolean() : parameter.grad is null,
                name);

        IReadOnlyList<GateActivation> Measure()
        {
            using var inner = NewDisposeScope();
            return ExpertActivation.Measure(model, [Batch(randn(2, 3, 4, 4), [[1, 2, 3], [4]]), Batch(randn(1, 3, 4, 4), [[5, 6]])]);
        }
    }

    [TestMethod]
    public void AttributesGetTheGatesOfTheRoutersWeights()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var model = ConfigOf(RoutingLevel.Attribute).Build();
        using var noGrad = no_grad();
        var weights = model.named_parameters().ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter);

        foreach (var one in ExpertActivation.Measure(model, [Batch(randn(2, 3, 4, 4), [[1, 2, 3], [4]])]))
        {
            var attributes_A = tensor([.. AttributeTable.Names.Select(name => one.Role.Attributes.Contains(name) ? 1f : 0f)]);
            var z_D = nn.functional.layer_norm(
                weights["roles.projection.weight"].matmul(attributes_A) + weights["roles.projection.bias"], [16]);
            var router = one.Gate == BlockGate.Attention ? "attentionRouter" : "feedForwardRouter";
            var probs_E = weights[$"blocks.{one.Block}.{router}.gate.weight"].matmul(z_D).softmax(0);
            var (kept_K, ids_K) = probs_E.topk(2);
            for (var expert = 0; expert < 4; expert++)
            {
                var place = Array.IndexOf(ids_K.data<long>().ToArray(), expert);
                Assert.AreEqual(
                    place < 0 ? 0 : (kept_K[place] / kept_K.sum()).ToDouble(),
                    one.Shares[expert],
                    1e-5,
                    $"{one.Block} {one.Gate} {one.Role}");
                Assert.AreEqual(place < 0 ? 0 : 1, one.Frequencies[expert]);
            }
        }
    }

    [TestMethod]
    [DataRow(RoutingLevel.Token)]
    [DataRow(RoutingLevel.Context)]
    public void TokensAreCountedOneByOneWithoutPadding(RoutingLevel level)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = ConfigOf(level).Build();
        int[][][] texts = [[[1, 2, 3], [4]], [[5, 6], [7, 8]]];
        Tensor[] pictures = [randn(2, 3, 4, 4), randn(2, 3, 4, 4)];

        var found = ExpertActivation.Measure(model, texts.Select((text, index) => Batch(pictures[index].alias(), text)));

        // <SPE>, four patches, then words and what they are told from: of 3 and 1 words, and of 2 and 2.
        model.eval();
        var (gates, counts, tokens) = (new double[2, 4], new long[2, 4], new long[2]);
        foreach (var (index, text) in texts.Index())
        {
            var (padded, length) = (PaddedTexts.Create(text, CPU), text.Max(words => words.Length));
            var output = model.Encode(
                model.EmbedDescription(
                    model.EmbedImages(pictures[index], Caption.InputRole), padded.Ids_NL, Caption.DescriptionRole, padded.Mask_NL));
            var decision = output.Routings[3].Decision;   // of the second block's network
            var row = 0;
            foreach (var words in text)
            {
                for (var place = 0; place < 5 + (2 * length); place++)
                {
                    if (place >= 5 && (place - 5) % length >= words.Length)
                        continue;
                    var role = place < 5 ? 0 : 1;
                    tokens[role]++;
                    for (var choice = 0; choice < 2; choice++)
                    {
                        var expert = decision.ExpertIds_TK[row, choice].ToInt64();
                        gates[role, expert] += decision.Gates_TK[row, choice].ToDouble();
                        counts[role, expert]++;
                    }
                    row++;
                }
            }
            Assert.AreEqual(decision.ExpertIds_TK.shape[0], row);
        }
        for (var role = 0; role < 2; role++)
        {
            var one = found.Single(each =>
                (each.Block, each.Gate) == (1, BlockGate.FeedForward)
                && each.Role.Equals(role == 0 ? Caption.InputRole : Caption.DescriptionRole));
            for (var expert = 0; expert < 4; expert++)
            {
                Assert.AreEqual(gates[role, expert] / tokens[role], one.Shares[expert], 1e-6);
                Assert.AreEqual((double)counts[role, expert] / tokens[role], one.Frequencies[expert], 1e-9);
            }
        }
    }

    [TestMethod]
    public void WithoutExpertsOrBatchesThereIsNothingToMeasure()
    {
        using var scope = NewDisposeScope();
        using var dense = (GeneralistConfig.Nano with { Block = GeneralistConfig.Nano.Block with { Experts = null } }).Build();
        using var sparse = GeneralistConfig.Nano.Build();
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => ExpertActivation.Measure(dense, [])).Message, "no experts");
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => ExpertActivation.Measure(sparse, [])).Message, "no batch");
        Assert.ThrowsExactly<OperationCanceledException>(() =>
            ExpertActivation.Measure(
                sparse,
                [
                    Batch(
                        randn(1, 3, 4, 4),
                        [
                            [1],
                        ]),
                ],
                new CancellationToken(canceled: true)));
    }

    // The vocabulary is two words.
    private static GeneralistBatch Batch(Tensor pictures, int[][] texts)
    {
        using var scope = NewDisposeScope();
        var read = PaddedTexts.Create(texts, CPU);
        return new GeneralistBatch(Caption, pictures, read, PaddedTexts.Create([[1], [2]], CPU), zeros_like(read.Ids_NL));
    }

    private static GeneralistConfig ConfigOf(RoutingLevel level) =>
        GeneralistConfig.Nano with { Tasks = ["caption"], Block = GeneralistConfig.Nano.Block with { RoutingLevel = level } };
}
