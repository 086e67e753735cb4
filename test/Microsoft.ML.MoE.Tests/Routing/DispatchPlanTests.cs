using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Routing;

[TestClass]
public sealed class DispatchPlanTests
{
    [TestMethod]
    public void SortsPairsByExpertAndKeepsTheirOrder()
    {
        using var scope = NewDisposeScope();
        var plan = DispatchPlan.Create(Decision(new long[,] { { 2, 0 }, { 0, 1 }, { 2, 1 } }), 4, capacity: null);

        TensorAssert.AreEqual([1, 2, 3, 5, 0, 4], plan.PairOfRow_R);
        TensorAssert.AreEqual([0, 1, 1, 2, 0, 2], plan.TokenOfRow_R);
        TensorAssert.AreEqual([0, 0, 1, 1, 2, 2], plan.ExpertOfRow_R);
        TensorAssert.AreEqual([2, 4, 6, 6], plan.RowEnds_E);
        TensorAssert.AreEqual([2, 2, 2, 0], plan.ExpertCounts_E);
        Assert.AreEqual(0, plan.DroppedCount.ToInt64());
        Assert.IsTrue(plan.Kept_TK.all().ToBoolean());
    }

    [TestMethod]
    public void TokenOrderDropsTheLastToAsk()
    {
        using var scope = NewDisposeScope();
        // T = 4, K = 2, E = 4, C = 1: floor(1·2·4/4) = 2 places. Expert 0 is asked by all four tokens, as first and as second choice.
        var plan = DispatchPlan.Create(Decision(new long[,] { { 1, 0 }, { 0, 2 }, { 0, 3 }, { 1, 0 } }), 4, new ExpertCapacity(1));

        TensorAssert.AreEqual([1, 1, 1, 1, 0, 1, 1, 0], plan.Kept_TK, "kept");
        TensorAssert.AreEqual([4, 2, 1, 1], plan.ExpertCounts_E, "asked for");
        TensorAssert.AreEqual([2, 4, 5, 6], plan.RowEnds_E, "computed");
        TensorAssert.AreEqual([1, 2, 0, 6, 3, 5], plan.PairOfRow_R, "rows");
        Assert.AreEqual(2, plan.DroppedCount.ToInt64());
    }

    [TestMethod]
    public void LargestGatePriorityKeepsTheSurestTokensAndFirstChoicesBeforeSecond()
    {
        using var scope = NewDisposeScope();
        var decision = new RoutingDecision(
            tensor(new long[,] { { 1, 0 }, { 0, 1 }, { 0, 1 } }), tensor(new[,] { { .9f, .1f }, { .5f, .4f }, { .7f, .2f } }), zeros([]));
        // T = 3, K = 2, E = 3, C = 1: floor(1·2·3/3) = 2 places. All three tokens ask for experts 0 and 1.
        var plan = DispatchPlan.Create(decision, 3, new ExpertCapacity(1, Priority: CapacityPriority.LargestGate));

        // Expert 0: first choices of tokens 2 (.7) and 1 (.5) come before the second choice of token 0, although token 0 has the largest
        // gate. Expert 1: first choice of token 0, then the second choices by largest gate: token 2 (.7) before token 1 (.5).
        TensorAssert.AreEqual([1, 0, 1, 0, 1, 1], plan.Kept_TK);
        Assert.AreEqual(2, plan.DroppedCount.ToInt64());
    }

    [TestMethod]
    public void ChoiceOrderKeepsFirstChoicesBeforeSecondOnes()
    {
        using var scope = NewDisposeScope();
        // As in token order above, two places; expert 0 is the first choice of tokens 1 and 2 and the second of 0 and 3.
        var plan = DispatchPlan.Create(
            Decision(
                new long[,]
                {
                    { 1, 0 },
                    { 0, 2 },
                    { 0, 3 },
                    { 1, 0 },
                }
            ),
            4,
            new ExpertCapacity(1, Priority: CapacityPriority.ChoiceOrder));

        TensorAssert.AreEqual([1, 0, 1, 1, 1, 1, 1, 0], plan.Kept_TK, "kept");
        Assert.AreEqual(2, plan.DroppedCount.ToInt64());
    }

    [TestMethod]
    [DataRow(CapacityPriority.TokenOrder)]
    [DataRow(CapacityPriority.LargestGate)]
    [DataRow(CapacityPriority.ChoiceOrder)]
    public void NoExpertComputesMoreThanItsCapacity(CapacityPriority priority)
    {
        using var seed = new SeedScope(3, CPU);
        for (var trial = 0; trial < 20; trial++)
        {
            using var scope = NewDisposeScope();
            const int tokens = 37, experts = 5, choices = 2;
            var probs_TE = (randn(tokens, experts) * 3).softmax(1);
            var (gates_TK, ids_TK) = probs_TE.topk(choices);
            var capacity = new ExpertCapacity(1.2, Priority: priority);
            var slots = capacity.Slots(tokens, experts, choices);

            var plan = DispatchPlan.Create(new RoutingDecision(ids_TK, gates_TK, zeros([])), experts, capacity);

            var asked = plan.ExpertCounts_E.data<long>().ToArray();
            var ends = plan.RowEnds_E.data<int>().ToArray();
            for (var e = 0; e < experts; e++)
                Assert.AreEqual(Math.Min(asked[e], slots), ends[e] - (e == 0 ? 0 : ends[e - 1]));
            Assert.AreEqual(tokens * choices - ends[^1], plan.DroppedCount.ToInt64());
            Assert.AreEqual(ends[^1], plan.Kept_TK.sum().ToInt64());
            Assert.AreEqual(tokens * choices, asked.Sum());
        }
    }

    [TestMethod]
    public void CollapseKeepsExactlyTheCapacityAndTheLiteralFormulaDropsNothing()
    {
        using var scope = NewDisposeScope();
        const int tokens = 100, experts = 4;
        var ids_TK = cat([zeros([tokens, 1], int64), ones([tokens, 1], int64)], 1);
        var even = new ExpertCapacity(1.2);
        Assert.AreEqual(60, even.Slots(tokens, experts, 2));

        var plan = DispatchPlan.Create(Decision(ids_TK), experts, even);
        TensorAssert.AreEqual([60, 120, 120, 120], plan.RowEnds_E);

        foreach (var factor in new[] { 1, 1.2, 2 })
        {
            var literal = DispatchPlan.Create(Decision(ids_TK), experts, new ExpertCapacity(factor, CapacityRule.Literal));
            Assert.AreEqual(0, literal.DroppedCount.ToInt64());
        }
    }

    [TestMethod]
    [DataRow(50, 4, 2, 1000)]
    [DataRow(50, 4, 2, 20)]
    [DataRow(1, 3, 3, 1)]
    [DataRow(64, 100, 2, 1)]    // most experts without a row
    public void CountingAndSortingAgreeOnThePairsThatAreKept(int tokens, int experts, int choices, int places)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(9, CPU);
        var ids_TK = rand(tokens, experts).topk(choices).indexes;
        foreach (var priority_P in new[] { null, randperm(tokens * choices, int64) })
        {
            var counted = DispatchPlan.ByCounting(ids_TK, experts, places, priority_P);
            var sorted = DispatchPlan.BySorting(ids_TK, experts, places, priority_P);
            var keptRows_R = sorted.Kept_TK.flatten().gather(0, sorted.PairOfRow_R).nonzero().flatten();
            Assert.IsTrue(counted.PairOfRow_R.equal(sorted.PairOfRow_R.gather(0, keptRows_R)).all().ToBoolean());
            Assert.IsTrue(counted.TokenOfRow_R.equal(sorted.TokenOfRow_R.gather(0, keptRows_R)).all().ToBoolean());
            Assert.IsTrue(counted.ExpertOfRow_R.equal(sorted.ExpertOfRow_R.gather(0, keptRows_R)).all().ToBoolean());
            Assert.IsTrue(counted.Kept_TK.equal(sorted.Kept_TK).all().ToBoolean());
            Assert.IsTrue(counted.ExpertCounts_E.equal(sorted.ExpertCounts_E).all().ToBoolean());
            Assert.AreEqual(sorted.DroppedCount.ToInt64(), counted.DroppedCount.ToInt64());
            Assert.AreEqual(counted.PairOfRow_R.shape[0], counted.RowEnds_E[experts - 1].ToInt32());
            if (places >= tokens)
                Assert.IsTrue(counted.RowEnds_E.equal(sorted.RowEnds_E).all().ToBoolean());
        }
    }

    [TestMethod]
    public void SlotsAreThoseOfExactArithmetic()
    {
        Assert.AreEqual(115, new ExpertCapacity(1.15).Slots(400, 4, 1));
        Assert.AreEqual(460, new ExpertCapacity(1.15, CapacityRule.Literal).Slots(400, 4, 1));
        Assert.AreEqual(400, new ExpertCapacity(4.0 / 3).Slots(300, 1, 1), "a factor that has no decimal form");
        Assert.AreEqual(53, ExpertCapacity.VMoe.Slots(100, 4, 2), "ceil(52.5)");
        Assert.AreEqual(105, ExpertCapacity.VMoe.Slots(400, 4, 1), "1.05 · 400 / 4 is 105.00000000000001 in floating point");
        for (var percent = 100; percent <= 200; percent++)
        {
            var capacity = new ExpertCapacity(percent / 100.0);
            var roundedUp = capacity with { Rule = CapacityRule.EvenShareRoundedUp };
            foreach (var (experts, choices) in new[] { (1, 1), (4, 2), (7, 3), (64, 2) })
            {
                foreach (long tokens in new[] { 1, 49, 400, 3136, 12_608, 1_000_000, 999_999_999 })
                {
                    var (pairs, divisor) = (percent * choices * tokens, 100 * experts);
                    Assert.AreEqual(
                        Math.Max(1, pairs / divisor),
                        capacity.Slots(tokens, experts, choices),
                        $"{percent}% of {tokens} tokens, {experts} experts");
                    Assert.AreEqual(
                        (pairs + divisor - 1) / divisor,
                        roundedUp.Slots(tokens, experts, choices),
                        $"{percent}% of {tokens} tokens, {experts} experts, rounded up");
                }
            }
        }
    }

    [TestMethod]
    public void EachItemHasPlacesOfItsOwn()
    {
        using var scope = NewDisposeScope();
        // Two items of T = 4 tokens, K = 1, E = 2, C = 1: floor(1·1·4/2) = 2 places in each. All of the first item ask for expert 0, one
        // of the second.
        var decision = Decision(new long[,] { { 0 }, { 0 }, { 0 }, { 0 }, { 1 }, { 1 }, { 0 }, { 1 } });
        var plan = DispatchPlan.Create(decision, 2, new ExpertCapacity(1), items: 2);
        TensorAssert.AreEqual([1, 1, 0, 0, 1, 1, 1, 0], plan.Kept_TK, "kept");
        TensorAssert.AreEqual([5, 3], plan.ExpertCounts_E, "asked for");
        TensorAssert.AreEqual([3, 5], plan.RowEnds_E, "computed");
        TensorAssert.AreEqual([0, 1, 6, 4, 5], plan.PairOfRow_R, "rows");
        Assert.AreEqual(3, plan.DroppedCount.ToInt64());

        TensorAssert.AreEqual(
            [1, 1, 1, 1, 1, 1, 0, 1], DispatchPlan.Create(decision, 2, new ExpertCapacity(1)).Kept_TK, "of one item: four places in all");
        Assert.Contains(
            "8 tokens and 3 items",
            Assert.ThrowsExactly<ArgumentException>(() => DispatchPlan.Create(decision, 2, new ExpertCapacity(1), items: 3)).Message);
        Assert.Contains(
            "0 items",
            Assert.ThrowsExactly<ArgumentException>(() => DispatchPlan.Create(decision, 2, new ExpertCapacity(1), items: 0)).Message);
    }

    [TestMethod]
    [DataRow(CapacityPriority.TokenOrder)]
    [DataRow(CapacityPriority.LargestGate)]
    [DataRow(CapacityPriority.ChoiceOrder)]
    public void APlanOfManyItemsIsThatOfEachAlone(CapacityPriority priority)
    {
        const int Items = 5, Tokens = 7, Experts = 4, Choices = 2;
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(8, CPU);
        var (gates_TK, ids_TK) = rand(Items * Tokens, Experts).topk(Choices, dim: 1);
        var decision = new RoutingDecision(ids_TK, gates_TK, zeros([]));
        var capacity = new ExpertCapacity(1, Priority: priority);
        var alone = Enumerable
            .Range(0, Items)
            .Select(item =>
                DispatchPlan.Create(
                    new RoutingDecision(ids_TK.narrow(0, item * Tokens, Tokens), gates_TK.narrow(0, item * Tokens, Tokens), zeros([])),
                    Experts,
                    capacity))
            .ToArray();
        var dropped = alone.Sum(plan => plan.DroppedCount.ToInt64());
        Assert.IsGreaterThan(0, dropped);
        var wanted_TK = cat([.. alone.Select(plan => plan.Kept_TK)], 0);

        var together = DispatchPlan.Create(decision, Experts, capacity, Items);
        Assert.IsTrue(wanted_TK.Equals(together.Kept_TK), "by counting");
        Assert.AreEqual(dropped, together.DroppedCount.ToInt64());
        Assert.AreEqual((Items * Tokens * Choices) - dropped, together.PairOfRow_R.shape[0]);
        Assert.IsTrue(together.Kept_TK.flatten().index_select(0, together.PairOfRow_R).all().ToBoolean());
        together.Rows.Check(Experts, Items * Tokens, Choices);

        // As other devices do it. Every pair has a row there.
        var slots = capacity.Slots(Tokens, Experts, Choices);
        var first_P =
            priority == CapacityPriority.TokenOrder
                ? null
                : PairsByChoice(
                    priority == CapacityPriority.LargestGate
                        ? gates_TK.amax([1]).argsort(dim: 0, descending: true)
                        : arange(Items * Tokens, int64));
        var sorted = DispatchPlan.BySorting(ids_TK, Experts, slots, first_P, Items);
        Assert.IsTrue(wanted_TK.Equals(sorted.Kept_TK), "by sorting");
        Assert.AreEqual(dropped, sorted.DroppedCount.ToInt64());
        TensorAssert.AreEqual(together.ExpertCounts_E.data<long>().ToArray(), sorted.ExpertCounts_E);
        sorted.Rows.Check(Experts, Items * Tokens, Choices);

        static Tensor PairsByChoice(Tensor tokens_T) => ((tokens_T.unsqueeze(0) * Choices) + arange(Choices, int64).unsqueeze(1)).flatten();
    }

    [TestMethod]
    public void AnExpertThatDoesNotExistIsNamed()
    {
        using var scope = NewDisposeScope();
        var error = Assert.ThrowsExactly<ArgumentException>(() =>
            DispatchPlan.Create(
                Decision(
                    new long[,]
                    {
                        { 0, 1 },
                        { 0, 4 },
                    }
                ),
                4,
                capacity: null));
        Assert.Contains("Token 1 has chosen expert 4; there are 4.", error.Message);
    }

    [TestMethod]
    [DataRow(0.5, "The capacity factor is 0.5; it must be a finite number of at least 1.", null)]
    [DataRow(0, "The capacity factor is 0", "The capacity factor in evaluation is 0; it must be a finite number above 0.")]
    [DataRow(double.NaN, "The capacity factor is NaN", "The capacity factor in evaluation is NaN")]
    [DataRow(double.PositiveInfinity, "The capacity factor is", "The capacity factor in evaluation is")]
    public void CapacityIsAtLeastOneInTrainingAndAboveZeroInEvaluation(double factor, string inTraining, string? inEvaluation)
    {
        var capacity = new ExpertCapacity(factor);
        Assert.Contains(inTraining, Assert.ThrowsExactly<ArgumentException>(capacity.ValidateForTraining).Message);
        if (inEvaluation is null)
            capacity.ValidateForEvaluation();
        else
            Assert.Contains(inEvaluation, Assert.ThrowsExactly<ArgumentException>(capacity.ValidateForEvaluation).Message);
    }

    // V-MoE's batch prioritized routing: half of the places go to the tokens that are sure of their expert.
    [TestMethod]
    public void WithHalfThePlaces_TheLargestGatesKeepThem()
    {
        using var scope = NewDisposeScope();
        var decision = new RoutingDecision(
            tensor(new long[,] { { 0 }, { 0 }, { 1 }, { 0 }, { 1 }, { 1 }, { 0 }, { 1 } }),
            tensor(new[,] { { 0.3f }, { 0.9f }, { 0.5f }, { 0.6f }, { 0.4f }, { 0.8f }, { 0.2f }, { 0.7f } }), zeros([]));
        var plan = DispatchPlan.Create(decision, 2, new ExpertCapacity(0.5, Priority: CapacityPriority.LargestGate));
        TensorAssert.AreEqual([2, 4], plan.RowEnds_E);
        CollectionAssert.AreEqual(
            new[] { false, true, false, true, false, true, false, true }, plan.Kept_TK.flatten().data<bool>().ToArray());
    }

    private static RoutingDecision Decision(long[,] ids) => Decision(tensor(ids));

    private static RoutingDecision Decision(Tensor ids_TK) => new(ids_TK, full(ids_TK.shape, 0.5f), zeros([]));
}
