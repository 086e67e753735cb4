using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Routing;

[TestClass]
public sealed class ConditionalRoutingTests
{
    private static readonly TokenRole Picture = AttributeTable.Create(StandardRole.DescribedPicture, "caption", TokenModality.Image);
    private static readonly TokenRole Description = AttributeTable.Create(StandardRole.Description, "caption", TokenModality.Text);

    [TestMethod]
    public void TheTableHasThePapersBits()
    {
        CollectionAssert.AreEqual(
            new[] { "InputHasVisual", "TargetIsText", "TokenIsVisual" },
            AttributeTable.AttributesOf(StandardRole.ClassifiedPicture).ToArray());
        CollectionAssert.AreEqual(
            new[] { "InputHasText", "TargetIsText", "TokenIsText" }, AttributeTable.AttributesOf(StandardRole.Text).ToArray());
        CollectionAssert.AreEqual(
            new[] { "InputHasVisual", "InputHasText", "TargetIsText", "TokenIsText", "Causal" },
            AttributeTable.AttributesOf(StandardRole.Description).ToArray());
        CollectionAssert.AreEqual(
            AttributeTable.AttributesOf(StandardRole.ClassName).ToArray(),
            AttributeTable.AttributesOf(StandardRole.RetrievedText).ToArray());
    }

    [TestMethod]
    public void RenormalisedGatesSumToOne()
    {
        using var scope = NewDisposeScope();
        using var router = new TopKRouter(2, new TopKRouterOptions { Experts = 3, ExpertsPerToken = 2, RenormalizeGates = true });
        router.eval();
        using (no_grad())
            router.parameters().Single().copy_(tensor(new float[,] { { 1, 0 }, { 0, 1 }, { 1, 1 } }));

        var decision = router.forward(tensor(new float[,] { { 2, 1 } }));   // logits 2, 1, 3

        var gate = 1 / (1 + Math.Exp(-1));   // e³ / (e³ + e²)
        TensorAssert.AreEqual([2, 0], decision.ExpertIds_TK);
        TensorAssert.AreClose(tensor(new[,] { { gate, 1 - gate } }), decision.Gates_TK);
        TensorAssert.AreClose(decision.Gates_TK, router.GatesFor(tensor(new float[,] { { 2, 1 } }), decision.ExpertIds_TK));
    }

    [TestMethod]
    public void AnEmbeddingOfAttributesTakesNewTasksAndOneOfTasksDoesNot()
    {
        using var scope = NewDisposeScope();
        using var byAttribute = new RoleEmbedding(RoutingLevel.Attribute, 8, AttributeTable.Names);
        using var byTask = new RoleEmbedding(RoutingLevel.Task, 8, ["caption"]);
        var another = AttributeTable.Create(StandardRole.DescribedPicture, "another", TokenModality.Video);

        TensorAssert.AreClose(byAttribute.forward([Picture]), byAttribute.forward([another]));
        TensorAssert.AreClose(byTask.forward([Picture]), byTask.forward([Description]));
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => byTask.forward([another])).Message, "'another'");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => byAttribute.forward([new TokenRole("a", TokenModality.Text, ["Loud"])])).Message,
            "'Loud'");
    }

    [TestMethod]
    public void PartsOfTwoRolesGetTheirOwnExperts()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        using var linear = new ConditionalLinear(4, 6, experts: 5);
        var layout = new SequenceLayout(new SequencePart(Picture, 2), new SequencePart(Description, 3), new SequencePart(Picture, 1));
        var (gates_RK, ids_RK) = (tensor(new[,] { { 0.6f, 0.4f }, { 0.9f, 0.1f } }), tensor(new[,] { { 1L, 4L }, { 0L, 2L } }));
        var x_NLI = randn(2, 6, 4);

        var y_NLO = linear.Apply(x_NLI, layout, new ConditionalRouting(new RoutingDecision(ids_RK, gates_RK, zeros([]))), merged: null);

        var experts = (LinearExperts)linear.children().Single();
        int[] roleOfToken = [0, 0, 1, 1, 1, 0];
        for (var token = 0; token < 6; token++)
        {
            var role = roleOfToken[token];
            var decision = new RoutingDecision(ids_RK[role].expand(2, 2), gates_RK[role].expand(2, 2), zeros([]));
            var wanted_NO = experts.forward(x_NLI.select(1, token), decision.Gates_TK, DispatchPlan.Create(decision, 5, capacity: null));
            TensorAssert.AreClose(wanted_NO, y_NLO.select(1, token), 1e-5, $"token {token}");
        }
    }

    [TestMethod]
    [DataRow(RoutingLevel.Token)]
    [DataRow(RoutingLevel.Context)]
    public void PaddingIsNotRoutedAndChangesNothing(RoutingLevel level)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var router = new ConditionalRouter(level, 4, experts: 3, expertsPerToken: 2);
        using var linear = new ConditionalLinear(4, 6, experts: 3);
        router.eval();
        var x_NLD = randn(1, 3, 4);
        var padded_NLD = cat([x_NLD, randn(1, 2, 4)], 1);
        var mask_NL = tensor(new[,] { { true, true, true, false, false } });

        var whole = router.Route(x_NLD, null, null);
        var masked = router.Route(padded_NLD, null, mask_NL);

        TensorAssert.AreClose(whole.Decision.Gates_TK, masked.Decision.Gates_TK);
        TensorAssert.AreClose(whole.Decision.BalanceLoss, masked.Decision.BalanceLoss);
        var wanted = linear.Apply(x_NLD, new SequenceLayout(new SequencePart(Description, 3)), whole, null);
        var found = linear.Apply(padded_NLD, new SequenceLayout(new SequencePart(Description, 5)), masked, null);
        TensorAssert.AreClose(wanted, found.narrow(1, 0, 3));
    }
}
