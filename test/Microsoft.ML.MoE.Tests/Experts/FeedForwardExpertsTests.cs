using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Experts;

[TestClass]
public sealed class FeedForwardExpertsTests
{
    /// <summary>Tokens, width, hidden width, experts, choices, capacity factor (0 for none), collapse onto the first experts.</summary>
    public static IEnumerable<object[]> Shapes =>
    [
        [12, 8, 16, 4, 2, 0.0, false],
        [12, 8, 16, 4, 2, 1.2, false],
        [1, 8, 16, 4, 2, 1.2, false],     // one token
        [7, 8, 16, 1, 1, 1.2, false],     // one expert
        [9, 8, 16, 3, 3, 1.0, false],     // K = E
        [16, 8, 16, 4, 1, 0.0, true],     // all to one expert, no limit
        [16, 8, 16, 4, 1, 1.0, true],     // all to one expert, most dropped
        [16, 8, 16, 4, 2, 100.0, false],  // capacity above the tokens
        [11, 5, 7, 3, 2, 1.2, false],     // no multiple of a vector
        [64, 4, 4, 16, 2, 1.0, false],    // many experts, some without rows
        [70, 37, 45, 3, 2, 0.0, false],   // several tiles of the managed product, none full
        [40, 300, 8, 2, 2, 0.0, false],   // sums longer than a block
    ];

    [TestMethod]
    [DynamicData(nameof(Shapes))]
    public void EqualsALoopOverTokensInOutputAndEveryGradient(
        int tokens,
        int width,
        int hidden,
        int experts,
        int choices,
        double factor,
        bool collapse
    ) =>
        CompareWithTheDefinition(tokens, width, hidden, experts, choices, factor, collapse, (module, x_TD, gates_TK, plan) =>
            ByTorch(module, x_TD, gates_TK, plan));

    [TestMethod]
    [RequiresAvx2]
    [DynamicData(nameof(Shapes))]
    public void TheManagedPathEqualsALoopOverTokensInOutputAndEveryGradient(
        int tokens,
        int width,
        int hidden,
        int experts,
        int choices,
        double factor,
        bool collapse
    ) =>
        CompareWithTheDefinition(tokens, width, hidden, experts, choices, factor, collapse, (module, x_TD, gates_TK, plan) =>
            module.ForwardManaged(x_TD, gates_TK, plan));

    [TestMethod]
    [RequiresBFloat16]
    [DynamicData(nameof(Shapes))]
    [DataRow(1300, 64, 256, 2, 2, 0.0, false)]   // several slices an expert
    public void TheBFloat16PathEqualsALoopOverTokensInOutputAndEveryGradient(
        int tokens, int width, int hidden, int experts, int choices, double factor, bool collapse)
    {
        // Weights and tokens that bfloat16 holds exactly, so that the two differ by what is rounded on the way alone.
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(11, CPU);
        using var module = new FeedForwardExperts(width, hidden, experts);
        Randomise(module);
        using (no_grad())
        {
            foreach (var parameter in module.parameters())
                parameter.copy_(parameter.to_type(bfloat16));
        }

        var (any_TD, gates_TK, plan) = Inputs(tokens, width, experts, choices, factor, collapse);
        var x_TD = any_TD.detach().to_type(bfloat16).requires_grad_(true);
        var weights_TD = randn(tokens, width);
        var actual_TD = InBFloat16(module, x_TD, gates_TK, plan);
        (actual_TD * weights_TD).sum().backward();

        var oracle = new Oracle(module, x_TD, gates_TK);
        var expected_TD = oracle.Forward(plan);
        (expected_TD * weights_TD).sum().backward();

        // A number is rounded by 2^-9 of itself, each sum's terms several times. Relative to a tensor's largest number, so that small
        // numbers count too.
        Assert.AreEqual(float32, actual_TD.dtype);
        AreNear(expected_TD, actual_TD, "output");
        oracle.ForEachGradient(module, x_TD, gates_TK, AreNear);

        static void AreNear(Tensor expected, Tensor actual, string what)
        {
            var largest = Math.Max(expected.abs().max().ToDouble(), 1e-3);
            TensorAssert.AreClose(expected / largest, actual.to_type(float64) / largest, 0.012, what);
        }
    }

    [TestMethod]
    [RequiresBFloat16]
    public void TheBFloat16PathDoesNotDependOnThreadsOrChunks()
    {
        // A hidden width of 2^15 makes chunks of 1024 rows: the 1400 rows of one expert are two.
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var module = new FeedForwardExperts(16, 1 << 15, 1);
        using (no_grad())
        {
            foreach (var parameter in module.parameters())
                parameter.normal_(0, 0.02).copy_(parameter.to_type(bfloat16));
        }

        var (any_TD, gates_TK, plan) = Inputs(1400, 16, 1, 1, 0, collapse: false);
        var x_TD = any_TD.detach().to_type(bfloat16).requires_grad_(true);
        var weights_TD = randn(1400, 16);
        var wide = Results(() => ByTorch(module, x_TD.to_type(float32), gates_TK, plan));
        var results = new[] { 1, 5 }.Select(threads =>
        {
            using var limit = new ThreadScope(threads);
            return Results(() => InBFloat16(module, x_TD, gates_TK, plan));
        }).ToArray();
        foreach (var (name, expected) in wide)
        {
            foreach (var result in results)
                TensorAssert.AreClose(expected / expected.abs().max(), result[name] / expected.abs().max(), 0.012, name);
        }

        Dictionary<string, Tensor> Results(Func<Tensor> forward)
        {
            var y_TD = forward();
            (y_TD * weights_TD).sum().backward();
            var results = module.named_parameters().ToDictionary(p => $"gradient of {p.name}", p => p.parameter.grad!.clone());
            (results["output"], results["gradient of x"], results["gradient of the gates"]) = (
                y_TD.detach(), x_TD.grad!.to_type(float32), gates_TK.grad!.clone());
            module.zero_grad(set_to_none: true);
            (x_TD.grad, gates_TK.grad) = (null, null);
            return results;
        }
    }

    [TestMethod]
    [RequiresBFloat16]
    public void TheBFloat16PathRepeatsItselfAndPredictsWhatItTrains()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var module = new FeedForwardExperts(24, 100, 3);
        var (any_TD, gates_TK, plan) = Inputs(700, 24, 3, 2, 1.0, collapse: false);
        var x_TD = any_TD.detach().to_type(bfloat16).requires_grad_(true);
        var trained_TD = InBFloat16(module, x_TD, gates_TK, plan);
        trained_TD.square().sum().backward();
        var first = module.parameters().Select(parameter => parameter.grad!.clone()).ToArray();
        module.zero_grad(set_to_none: true);
        InBFloat16(module, x_TD, gates_TK, plan).square().sum().backward();
        foreach (var (before, parameter) in first.Zip(module.parameters()))
            Assert.IsTrue(
                before.equal(parameter.grad!).all().ToBoolean(), "the same tokens give the same gradients, whichever thread computes what");
        using var noGrad = no_grad();
        TensorAssert.AreClose(
            trained_TD, InBFloat16(module, x_TD, gates_TK, plan), 0.01, "without gradients, sums before GELU are not rounded");
    }

    [TestMethod]
    [RequiresBFloat16]
    public void TheBFloat16PathFreesItsTensors()
    {
        using var module = new FeedForwardExperts(8, 16, 4);
        Step();
        var before = LiveTensors.Count();
        for (var i = 0; i < 300; i++)
            Step();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Step()
        {
            using var scope = NewDisposeScope();
            var (x_TD, gates_TK, plan) = Inputs(12, 8, 4, 2, 0, collapse: false);
            InBFloat16(module, x_TD.to_type(bfloat16), gates_TK, plan).square().sum().backward();
            module.zero_grad(set_to_none: true);
        }
    }

    [TestMethod]
    [RequiresBFloat16]
    public void TheBFloat16PathLeavesTheNumberOfThreadsAlone()
    {
        using var scope = NewDisposeScope();
        using var module = new FeedForwardExperts(8, 16, 4);
        using var limit = new ThreadScope(3);
        var (x_TD, gates_TK, plan) = Inputs(12, 8, 4, 2, 0, collapse: false);
        InBFloat16(module, x_TD.to_type(bfloat16), gates_TK, plan).square().sum().backward();
        Assert.AreEqual(3, get_num_threads());
    }

    [TestMethod]
    [RequiresAvx2]
    public void TheManagedPathDoesNotDependOnHowManyChunksTheRowsTake()
    {
        // A hidden width of 4096 makes chunks of 1020 rows: the 2600 rows of three experts are three chunks, which end within experts.
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var module = new FeedForwardExperts(16, 4096, 3);
        Randomise(module);
        var (x_TD, gates_TK, plan) = Inputs(1300, 16, 3, 2, 0, collapse: false);
        var weights_TD = randn(1300, 16);
        var results = new List<(Tensor Y, Dictionary<string, Tensor> Gradients)>();
        foreach (var managed in new[] { true, false })
        {
            var y_TD = managed ? module.ForwardManaged(x_TD, gates_TK, plan) : ByTorch(module, x_TD, gates_TK, plan);
            (y_TD * weights_TD).sum().backward();
            var inputs = new Dictionary<string, Tensor> { ["x"] = x_TD.grad!, ["gates"] = gates_TK.grad! };
            results.Add(
                (
                    y_TD,
                    module
                        .named_parameters()
                        .Select(p => (p.name, gradient: p.parameter.grad!))
                        .Concat(inputs.Select(i => (i.Key, i.Value)))
                        .ToDictionary(g => g.Item1, g => g.Item2)));
            module.zero_grad(set_to_none: true);
            (x_TD.grad, gates_TK.grad) = (null, null);
        }

        TensorAssert.AreClose(results[1].Y, results[0].Y, 2e-3, "output, of a size around 100");
        foreach (var (name, expected) in results[1].Gradients)
            TensorAssert.AreClose(
                expected / expected.abs().max(), results[0].Gradients[name] / expected.abs().max(), 1e-5, $"gradient of {name}");
    }

    [TestMethod]
    [RequiresAvx2]
    public void TheManagedPathPredictsWhatItTrains()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var module = new FeedForwardExperts(24, 4096, 3);
        var (x_TD, gates_TK, plan) = Inputs(1200, 24, 3, 2, 1.0, collapse: false);
        var trained_TD = module.ForwardManaged(x_TD, gates_TK, plan);
        using var noGrad = no_grad();
        Assert.IsTrue(
            trained_TD.equal(module.ForwardManaged(x_TD, gates_TK, plan)).all().ToBoolean(),
            "without gradients, one chunk's memory serves all chunks");
    }

    [TestMethod]
    [RequiresAvx2]
    public void TheManagedPathFreesItsTensors()
    {
        using var module = new FeedForwardExperts(8, 16, 4);
        Step();
        var before = LiveTensors.Count();
        for (var i = 0; i < 1000; i++)
            Step();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Step()
        {
            using var scope = NewDisposeScope();
            var (x_TD, gates_TK, plan) = Inputs(12, 8, 4, 2, 0, collapse: false);
            module.ForwardManaged(x_TD, gates_TK, plan).sum().backward();
            module.zero_grad(set_to_none: true);
        }
    }

    private static void CompareWithTheDefinition(
        int tokens,
        int width,
        int hidden,
        int experts,
        int choices,
        double factor,
        bool collapse,
        Func<FeedForwardExperts, Tensor, Tensor, DispatchPlan, Tensor> forward)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(11, CPU);
        using var module = new FeedForwardExperts(width, hidden, experts);
        Randomise(module);
        var (x_TD, gates_TK, plan) = Inputs(tokens, width, experts, choices, factor, collapse);
        var weights_TD = randn(tokens, width);

        var actual_TD = forward(module, x_TD, gates_TK, plan);
        (actual_TD * weights_TD).sum().backward();

        var oracle = new Oracle(module, x_TD, gates_TK);
        var expected_TD = oracle.Forward(plan);
        (expected_TD * weights_TD).sum().backward();

        var tolerance = 1e-5 * Math.Max(1, width / 16.0);   // longer sums are larger, and rounded more often
        TensorAssert.AreClose(expected_TD, actual_TD, tolerance, "output");
        oracle.CompareGradients(module, x_TD, gates_TK, tolerance);
    }

    [TestMethod]
    public void BFloat16StaysNearTheFloat32Oracle()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        using var module = new FeedForwardExperts(16, 32, 4);
        Randomise(module);
        var (x_TD, gates_TK, plan) = Inputs(24, 16, 4, 2, 1.2, false);
        var weights_TD = randn(24, 16);

        var actual_TD = module.forward(x_TD.to_type(bfloat16), gates_TK, plan);
        (actual_TD * weights_TD).sum().backward();

        var oracle = new Oracle(module, x_TD, gates_TK);
        var expected_TD = oracle.Forward(plan);
        (expected_TD * weights_TD).sum().backward();
        Assert.AreEqual(float32, actual_TD.dtype);
        TensorAssert.AreClose(expected_TD, actual_TD, 0.05, "output");
        oracle.CompareGradients(module, x_TD, gates_TK, 0.08);
    }

    [TestMethod]
    public void InputsThatDoNotBelongTogetherAreRefused()
    {
        using var scope = NewDisposeScope();
        using var module = new FeedForwardExperts(4, 8, 4);
        var (x_TD, gates_TK, plan) = Inputs(16, 4, 4, 2, 0, collapse: false);
        Refused("(16, 5)", zeros(16, 5), gates_TK, plan);
        Refused("(9, K) is wanted", x_TD.narrow(0, 0, 9), gates_TK, plan);
        Refused(
            "The dispatch plan is for 16 tokens with 2 choices among 4 experts; here are 9 tokens with 2 choices among 4.",
            x_TD.narrow(0, 0, 9),
            gates_TK.narrow(0, 0, 9),
            plan);
        Refused("here are 16 tokens with 1 choices", x_TD, gates_TK.narrow(1, 0, 1), plan);
        Refused("among 3 experts", x_TD, gates_TK, Inputs(16, 4, 3, 2, 0, collapse: false).Plan);

        void Refused(string message, Tensor x, Tensor gates, DispatchPlan other) =>
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => module.forward(x, gates, other)).Message);
    }

    [TestMethod]
    [RequiresAvx2]
    public void APlanThatPointsOutsideTheBatchIsRefusedBeforeAnythingIsRead()
    {
        using var scope = NewDisposeScope();
        using var module = new FeedForwardExperts(4, 8, 4);
        var (x_TD, gates_TK, plan) = Inputs(16, 4, 4, 2, 0, collapse: false);
        var descending_E = plan.RowEnds_E.clone();
        descending_E[0] = descending_E[1] + 1;
        foreach (
            var bad in new[]
            {
                plan with { RowEnds_E = descending_E },
                plan with { PairOfRow_R = plan.PairOfRow_R + 1 },
                plan with { TokenOfRow_R = plan.TokenOfRow_R * 1000 },
                plan with { RowEnds_E = plan.RowEnds_E * 2 },
            }
        )
            Assert.Contains(
                "dispatch plan", Assert.ThrowsExactly<ArgumentException>(() => module.ForwardManaged(x_TD, gates_TK, bad)).Message);
    }

    [TestMethod]
    public void WeightsAndGatesOfAnotherTypeAreNotTakenForFloat32()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(6, CPU);
        using var module = new FeedForwardExperts(16, 32, 4);
        Randomise(module);
        var (x_TD, gates_TK, plan) = Inputs(24, 16, 4, 2, 1.2, false);
        var expected_TD = module.forward(x_TD, gates_TK, plan);
        TensorAssert.AreClose(expected_TD, module.forward(x_TD, gates_TK.to_type(bfloat16), plan), 0.02, "with gates in bfloat16");
        module.to(bfloat16);
        TensorAssert.AreClose(expected_TD, module.forward(x_TD, gates_TK, plan), 0.1, "with weights in bfloat16");
    }

    [TestMethod]
    public void DroppedTokensGetZero()
    {
        using var scope = NewDisposeScope();
        using var module = new FeedForwardExperts(4, 8, 4);
        Randomise(module);
        var (x_TD, gates_TK, plan) = Inputs(16, 4, 4, 1, 1.0, collapse: true);   // 4 places for 16 tokens
        var y_TD = module.forward(x_TD, gates_TK, plan);
        Assert.IsTrue((y_TD.slice(0, 0, 4, 1).abs().amax([1]) > 0).all().ToBoolean(), "the first four are computed");
        Assert.AreEqual(0, y_TD.slice(0, 4, 16, 1).abs().max().ToDouble());
    }

    private static void Randomise(nn.Module module)
    {
        using var noGrad = no_grad();
        foreach (var parameter in module.parameters())
            parameter.normal_(0, 0.5);
    }

    private static (Tensor X_TD, Tensor Gates_TK, DispatchPlan Plan) Inputs(
        int tokens, int width, int experts, int choices, double factor, bool collapse)
    {
        var scores_TE = randn(tokens, experts);
        if (collapse)
            scores_TE = scores_TE - arange(experts, float32) * 100;
        var (gates, ids_TK) = scores_TE.softmax(1).topk(choices);
        var gates_TK = gates.detach().requires_grad_(true);
        var plan = DispatchPlan.Create(
            new RoutingDecision(ids_TK, gates_TK, zeros([])), experts, factor > 0 ? new ExpertCapacity(factor) : null);
        return (randn(tokens, width).requires_grad_(true), gates_TK, plan);
    }

    /// <summary>The definition: for every token and choice that was kept, gate · FFN of that expert, in float64.</summary>
    private sealed class Oracle
    {
        private readonly Tensor x_TD;
        private readonly Tensor gates_TK;
        private readonly Dictionary<string, Tensor> weights;

        public Oracle(FeedForwardExperts module, Tensor x_TD, Tensor gates_TK)
        {
            this.x_TD = x_TD.detach().to_type(float64).requires_grad_(true);
            this.gates_TK = gates_TK.detach().to_type(float64).requires_grad_(true);
            weights = module.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().to_type(float64).requires_grad_(true));
        }

        public Tensor Forward(DispatchPlan plan)
        {
            var (tokens, choices) = (gates_TK.shape[0], gates_TK.shape[1]);
            var kept = plan.Kept_TK.data<bool>().ToArray();
            var expertOfPair = plan
                .PairOfRow_R.data<long>()
                .ToArray()
                .Zip(plan.ExpertOfRow_R.data<long>().ToArray())
                .ToDictionary(row => row.First, row => row.Second);
            var rows = new List<Tensor>();
            for (var t = 0; t < tokens; t++)
            {
                var y_D = zeros(x_TD.shape[1], dtype: float64) + 0 * x_TD[t];
                for (var k = 0; k < choices; k++)
                {
                    var pair = t * choices + k;
                    if (!kept[pair])
                        continue;
                    var e = expertOfPair[pair];
                    var hidden_F = nn.functional.gelu(x_TD[t].matmul(weights["weight1"][e]) + weights["bias1"][e]);
                    y_D = y_D + gates_TK[t, k] * (hidden_F.matmul(weights["weight2"][e]) + weights["bias2"][e]);
                }
                rows.Add(y_D);
            }
            return stack(rows);
        }

        public void CompareGradients(FeedForwardExperts module, Tensor x, Tensor gates, double tolerance) =>
            ForEachGradient(module, x, gates, (expected, actual, what) => TensorAssert.AreClose(expected, actual, tolerance, what));

        public void ForEachGradient(FeedForwardExperts module, Tensor x, Tensor gates, Action<Tensor, Tensor, string> compare)
        {
            Compare(x_TD, x, "gradient of x");
            Compare(gates_TK, gates, "gradient of the gates");
            foreach (var (name, parameter) in module.named_parameters())
                Compare(weights[name], parameter, $"gradient of {name}");

            void Compare(Tensor expected, Tensor actual, string what) =>
                compare(expected.grad ?? zeros_like(expected), actual.grad ?? zeros_like(actual), what);
        }
    }

    [TestMethod]
    [RequiresBFloat16]
    [DataRow(1)]
    [DataRow(2)]
    public void TheBFloat16PathScoresInInferenceMode(int threads)
    {
        using var seed = new SeedScope(6, CPU);
        using var module = new FeedForwardExperts(32, 64, 4);
        var before = get_num_threads();
        set_num_threads(threads);
        try
        {
            float[] expected;
            using (no_grad())
                expected = Score();
            using (inference_mode())
                CollectionAssert.AreEqual(expected, Score());
        }
        finally
        {
            set_num_threads(before);
        }

        float[] Score()
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator(1);
            var ids_TK = arange(48, int64).remainder(4).view(24, 2);
            var decision = new RoutingDecision(ids_TK, full([24, 2], 0.5f), zeros([]));
            return InBFloat16(
                    module,
                    randn([24, 32], generator: generator).to_type(bfloat16),
                    decision.Gates_TK,
                    DispatchPlan.Create(decision, 4, null))
                .data<float>()
                .ToArray();
        }
    }

    private static Tensor InBFloat16(FeedForwardExperts module, Tensor x_TD, Tensor gates_TK, DispatchPlan plan) =>
        module.ForwardInBFloat16(x_TD, gates_TK, plan);

    private static Tensor ByTorch(FeedForwardExperts module, Tensor x_TD, Tensor gates_TK, DispatchPlan plan) =>
        module.ForwardByTorch(x_TD, gates_TK, plan);
}
