using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
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
    ];

    [TestMethod]
    [DynamicData(nameof(Shapes))]
    public void EqualsALoopOverTokensInOutputAndEveryGradient(int tokens, int width, int hidden, int experts, int choices, double factor, bool collapse)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(11, CPU);
        using var module = new FeedForwardExperts(width, hidden, experts);
        Randomise(module);
        var (x_TD, gates_TK, plan) = Inputs(tokens, width, experts, choices, factor, collapse);
        var weights_TD = randn(tokens, width);

        var actual_TD = module.forward(x_TD, gates_TK, plan);
        (actual_TD * weights_TD).sum().backward();

        var oracle = new Oracle(module, x_TD, gates_TK);
        var expected_TD = oracle.Forward(plan);
        (expected_TD * weights_TD).sum().backward();

        TensorAssert.AreClose(expected_TD, actual_TD, 1e-5, "output");
        oracle.CompareGradients(module, x_TD, gates_TK, 1e-5);
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

    private static (Tensor X_TD, Tensor Gates_TK, DispatchPlan Plan) Inputs(int tokens, int width, int experts, int choices, double factor, bool collapse)
    {
        var scores_TE = randn(tokens, experts);
        if (collapse)
            scores_TE = scores_TE - arange(experts, float32) * 100;
        var (gates, ids_TK) = scores_TE.softmax(1).topk(choices);
        var gates_TK = gates.detach().requires_grad_(true);
        var plan = DispatchPlan.Create(new RoutingDecision(ids_TK, gates_TK, zeros([])), experts, factor > 0 ? new ExpertCapacity(factor) : null);
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
            var expertOfPair = plan.PairOfRow_R.data<long>().ToArray().Zip(plan.ExpertOfRow_R.data<long>().ToArray()).ToDictionary(row => row.First, row => row.Second);
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

        public void CompareGradients(FeedForwardExperts module, Tensor x, Tensor gates, double tolerance)
        {
            Compare(x_TD, x, "gradient of x");
            Compare(gates_TK, gates, "gradient of the gates");
            foreach (var (name, parameter) in module.named_parameters())
                Compare(weights[name], parameter, $"gradient of {name}");

            void Compare(Tensor expected, Tensor actual, string what) =>
                TensorAssert.AreClose(expected.grad ?? zeros_like(expected), actual.grad ?? zeros_like(actual), tolerance, what);
        }
    }
}
