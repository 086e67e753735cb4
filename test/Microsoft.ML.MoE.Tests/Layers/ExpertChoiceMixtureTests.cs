using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

[TestClass]
public sealed class ExpertChoiceMixtureTests
{
    private static readonly ExpertChoiceOptions Options = new() { Experts = 3, ExpertWidth = 7, CapacityFactor = 1.5 };

    [TestMethod]
    public void EqualsALoopOverExpertsAndTheirTokensInOutputAndEveryGradient()
    {
        const int Tokens = 10, Width = 5;
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var layer = new ExpertChoiceMixture(Width, Options);
        using (no_grad())
        {
            foreach (var parameter in layer.parameters())
                parameter.normal_(0, 0.5);
        }
        var x_TD = randn(Tokens, Width).requires_grad_(true);
        var weights_TD = randn(Tokens, Width);
        var output = layer.forward(x_TD);
        (output.Output_TD * weights_TD).sum().backward();

        var exact = layer.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().to_type(float64).requires_grad_(true));
        var exact_TD = x_TD.detach().to_type(float64).requires_grad_(true);
        var probs_TE = exact_TD.matmul(exact["router"].T).softmax(1);
        var rows = Enumerable.Range(0, Tokens).Select(_ => zeros([Width], float64)).ToArray();
        for (var e = 0; e < 3; e++)
        {
            var column = probs_TE.select(1, e).data<double>().ToArray();
            foreach (var t in Enumerable.Range(0, Tokens).OrderByDescending(t => column[t]).Take(5))   // 1.5 · 10 / 3
            {
                var hidden_F = nn.functional.gelu(exact_TD[t].matmul(exact["experts.weight1"][e]) + exact["experts.bias1"][e]);
                rows[t] = rows[t] + (probs_TE[t, e] * (hidden_F.matmul(exact["experts.weight2"][e]) + exact["experts.bias2"][e]));
            }
        }
        var expected_TD = stack(rows);
        (expected_TD * weights_TD).sum().backward();

        TensorAssert.AreClose(expected_TD, output.Output_TD, 1e-5, "output");
        TensorAssert.AreClose(exact_TD.grad!, x_TD.grad!, 1e-5, "gradient of the tokens");
        foreach (var (name, parameter) in layer.named_parameters())
            TensorAssert.AreClose(exact[name].grad!, parameter.grad!, 1e-5, $"gradient of {name}");
    }

    [TestMethod]
    public void EveryExpertTakesItsShareAndATokenMayGetNone()
    {
        using var scope = NewDisposeScope();
        using var layer = new ExpertChoiceMixture(2, Options with { CapacityFactor = 0.75 });
        using (no_grad())
        {
            foreach (var (name, parameter) in layer.named_parameters())
                parameter.fill_(name == "router" ? 0.1f : 1);
            layer.named_parameters().First(p => p.name == "router").parameter.copy_(tensor(new[] { 1f, 0, 0, 1, -1, -1 }, [3, 2]));
        }
        // 0.75 · 8 / 3 = 2 tokens an expert. The first two tokens are the first expert's, the next two the second's, the last two the
        // third's.
        var x_TD = tensor(new[] { 9f, 0, 8, 0, 0, 9, 0, 8, 1, 0, 0, 1, -9, -9, -8, -8 }, [8, 2]);
        var output = layer.forward(x_TD);
        TensorAssert.AreEqual([0, 0, 1, 1, 2, 2], output.Selection!.ExpertIds);
        CollectionAssert.AreEqual(new long[] { 3, 2 }, output.Selection.Gates.shape);
        TensorAssert.AreEqual([2, 2, 2], output.Selection.CountChoices());
        TensorAssert.AreEqual(
            [1, 1, 1, 1, 0, 0, 1, 1], (output.Output_TD.abs().sum(1) > 0).to_type(int64), "tokens 4 and 5 have no expert");
        Assert.AreEqual(1, Options.TokensPerExpert(1));
        Assert.AreEqual(3, new ExpertChoiceOptions { Experts = 2, CapacityFactor = 2 }.TokensPerExpert(3));
    }
}
