using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Experts;

[TestClass]
public sealed class LinearExpertsTests
{
    [TestMethod]
    [DataRow(1, 1, 1)]
    [DataRow(7, 3, 2)]
    [DataRow(5, 4, 4)]
    public void MatchesALoopOverTokensWithGradients(int tokens, int experts, int choices)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var layer = new LinearExperts(3, 5, experts);
        var x_TI = randn([tokens, 3], requires_grad: true);
        var (gates_TK, ids_TK) = rand([tokens, experts]).topk(choices, -1);
        gates_TK = gates_TK.detach().requires_grad_();
        var factors_TO = randn(tokens, 5);

        var plan = DispatchPlan.Create(new RoutingDecision(ids_TK, gates_TK, zeros([])), experts, capacity: null);
        var found = Gradients(layer, x_TI, gates_TK, layer.forward(x_TI, gates_TK, plan) * factors_TO);
        var wanted = Gradients(layer, x_TI, gates_TK, Loop(layer, x_TI, ids_TK, gates_TK) * factors_TO);

        for (var i = 0; i < wanted.Length; i++)
            TensorAssert.AreClose(wanted[i], found[i], 1e-5, $"tensor {i}");
    }

    [TestMethod]
    public void MergedExpertsAreTheSumOfTheirOutputsWithGradients()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var layer = new LinearExperts(6, 9, 4);
        var x_TI = randn([11, 6], requires_grad: true);
        var gates_1K = tensor(new[,] { { 0.7f, 0.3f } }, requires_grad: true);
        var ids_1K = tensor(new[,] { { 2L, 0L } });
        var factors_TO = randn(11, 9);

        var found = Gradients(layer, x_TI, gates_1K, layer.Merge(ids_1K[0], gates_1K[0]).Apply(x_TI) * factors_TO);
        var wanted = Gradients(layer, x_TI, gates_1K, Loop(layer, x_TI, ids_1K.expand(11, 2), gates_1K.expand(11, 2)) * factors_TO);

        for (var i = 0; i < wanted.Length; i++)
            TensorAssert.AreClose(wanted[i], found[i], 1e-5, $"tensor {i}");
    }

    [TestMethod]
    public void MergesByHand()
    {
        using var scope = NewDisposeScope();
        using var layer = new LinearExperts(1, 1, 3);
        var parameters = layer.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter);
        using (no_grad())
        {
            parameters["weight"].copy_(tensor(new float[] { 2, 10, 100 }).view(3, 1, 1));
            parameters["bias"].copy_(tensor(new float[] { 1, 5, 7 }).view(3, 1));
        }

        var merged = layer.Merge(tensor(new long[] { 1, 0 }), tensor(new[] { 0.75f, 0.25f }));

        TensorAssert.AreClose(tensor(new float[,] { { 8 } }), merged.Weight_OI);   // 0.75 · 10 + 0.25 · 2
        TensorAssert.AreClose(tensor(new float[] { 4 }), merged.Bias_O);          // 0.75 · 5 + 0.25 · 1
        TensorAssert.AreClose(tensor(new float[,] { { 28 } }), merged.Apply(tensor(new float[,] { { 3 } })));
    }

    private static Tensor Loop(LinearExperts layer, Tensor x_TI, Tensor ids_TK, Tensor gates_TK)
    {
        var parameters = layer.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter);
        return stack(
            Enumerable
                .Range(0, (int)x_TI.shape[0])
                .Select(token =>
                    stack(
                            Enumerable
                                .Range(0, (int)ids_TK.shape[1])
                                .Select(choice =>
                                {
                                    var expert = ids_TK[token, choice].ToInt64();
                                    return gates_TK[token, choice]
                                        * (x_TI[token].matmul(parameters["weight"][expert]) + parameters["bias"][expert]);
                                }))
                        .sum([0])));
    }

    private static Tensor[] Gradients(LinearExperts layer, Tensor x_TI, Tensor gates, Tensor y_TO)
    {
        Tensor[] inputs = [x_TI, gates, .. layer.parameters()];
        return [y_TO, .. autograd.grad([y_TO.sum()], inputs)];
    }
}
