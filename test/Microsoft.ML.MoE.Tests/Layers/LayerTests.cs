using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

[TestClass]
public sealed class LayerTests
{
    [TestMethod]
    public void LayerNormEqualsItsDefinitionInOutputAndGradients()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var norm = new LayerNorm(5);
        using (no_grad())
        {
            foreach (var parameter in norm.parameters())
                parameter.normal_();
        }
        var x = randn(3, 2, 5).requires_grad_(true);
        var weights = randn(3, 2, 5);

        var (actual, actualGradients) = Differentiate(norm.forward);
        var (expected, expectedGradients) = Differentiate(norm.Define);

        TensorAssert.AreClose(expected, actual);
        for (var i = 0; i < expectedGradients.Length; i++)
            TensorAssert.AreClose(expectedGradients[i], actualGradients[i], 1e-5, $"gradient {i}");
        var row = x[1, 1].detach();
        var (gamma, beta) = (norm.parameters().First(), norm.parameters().Last());
        TensorAssert.AreClose((row - row.mean()) / ((row - row.mean()).square().mean() + 1e-6).sqrt() * gamma + beta, actual[1, 1]);

        (Tensor Output, Tensor[] Gradients) Differentiate(Func<Tensor, Tensor> function)
        {
            var y = function(x);
            return (y, autograd.grad([(y * weights).sum()], [x, .. norm.parameters()]).ToArray());
        }
    }

    [TestMethod]
    public void AttentionEqualsALoopOverHeadsAndQueries()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        const int sequences = 2, length = 3, width = 8, heads = 2, size = width / heads;
        using var attention = new MultiHeadAttention(width, heads);
        using (no_grad())
        {
            foreach (var parameter in attention.parameters())
                parameter.normal_(0, 0.5);
        }
        var named = attention.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        var x_NLD = randn(sequences, length, width).requires_grad_(true);
        var weights_NLD = randn(sequences, length, width);

        var actual_NLD = attention.forward(x_NLD);
        var expected_NLD = stack(Enumerable.Range(0, sequences).Select(n => Sequence(x_NLD[n])));
        TensorAssert.AreClose(expected_NLD, actual_NLD);
        Tensor[] inputs = [x_NLD, .. attention.parameters()];
        var actual = autograd.grad([(actual_NLD * weights_NLD).sum()], inputs);
        var expected = autograd.grad([(expected_NLD * weights_NLD).sum()], inputs);
        for (var i = 0; i < inputs.Length; i++)
            TensorAssert.AreClose(expected[i], actual[i], 1e-5, $"gradient {i}");

        Tensor Sequence(Tensor x_LD)
        {
            var qkv_L3D = x_LD.matmul(named["queryKeyValue.weight"].T) + named["queryKeyValue.bias"];
            var rows = new List<Tensor>();
            for (var i = 0; i < length; i++)
            {
                var parts = new List<Tensor>();
                for (var h = 0; h < heads; h++)
                {
                    Tensor Part(long token, int which) =>
                        qkv_L3D[token].slice(0, (which * width) + (h * size), (which * width) + ((h + 1) * size), 1);
                    var scores_L = stack(Enumerable.Range(0, length).Select(j => Part(i, 0).dot(Part(j, 1)))) / Math.Sqrt(size);
                    var probs_L = scores_L.softmax(0);
                    parts.Add(Enumerable.Range(0, length).Select(j => probs_L[j] * Part(j, 2)).Aggregate((a, b) => a + b));
                }
                rows.Add(cat(parts, 0).matmul(named["output.weight"].T) + named["output.bias"]);
            }
            return stack(rows);
        }
    }

    [TestMethod]
    public void PatchesAreCutRowByRow()
    {
        using var scope = NewDisposeScope();
        using var embedding = new PatchEmbedding(channels: 2, patchSize: 2, width: 8);
        using (no_grad())
        {
            embedding.parameters().First().copy_(eye(8));   // the embedding is the patch itself: channel, row, column
        }
        var image_NCHW = arange(2 * 4 * 6, float32).view(1, 2, 4, 6);
        var patches_NLD = embedding.forward(image_NCHW);
        CollectionAssert.AreEqual(new long[] { 1, 6, 8 }, patches_NLD.shape);
        TensorAssert.AreEqual([2, 3, 8, 9, 26, 27, 32, 33], patches_NLD[0, 1], "second patch of the first row");
        TensorAssert.AreEqual([12, 13, 18, 19, 36, 37, 42, 43], patches_NLD[0, 3], "first patch of the second row");
    }

    [TestMethod]
    public void FeedForwardIsTwoLinearLayersWithExactGelu()
    {
        using var scope = NewDisposeScope();
        using var network = new FeedForward(2, 3);
        float[][] values = [[1, 0, 0, 1, 1, -1], [.5f, 0, 0], [1, 2, 3, 0, 1, 0], [0, .25f]];   // W1 (3, 2), b1, W2 (2, 3), b2
        using (no_grad())
        {
            foreach (var (parameter, numbers) in network.parameters().Zip(values))
                parameter.copy_(tensor(numbers, parameter.shape));
        }
        var y = network.forward(tensor(new[] { 1f, 2f }));
        static double Gelu(double x) => 0.5 * x * (1 + special.erf(tensor(x / Math.Sqrt(2))).ToDouble());
        double[] hidden = [Gelu(1.5), Gelu(2), Gelu(-1)];
        TensorAssert.AreClose(tensor(new[] { hidden[0] + (2 * hidden[1]) + (3 * hidden[2]), hidden[1] + .25 }), y);
    }

    [TestMethod]
    public void MixtureOfOneExpertEqualsTheDenseNetwork()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(6, CPU);
        using var mixture = new MixtureOfExperts(
            4,
            new MixtureOfExpertsOptions
            {
                ExpertWidth = 8,
                Router = new TopKRouterOptions { Experts = 1, ExpertsPerToken = 1 },
            }
        );
        using var dense = new FeedForward(4, 8);
        var weights = mixture.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        using (no_grad())
        {
            var named = dense.named_parameters().ToDictionary(p => p.name, p => p.parameter);
            named["expand.weight"].copy_(weights["experts.weight1"][0].T);
            named["contract.weight"].copy_(weights["experts.weight2"][0].T);
        }
        var x_TD = randn(5, 4);
        TensorAssert.AreClose(dense.forward(x_TD), mixture.forward(x_TD).Output_TD);   // one expert: its gate is 1
    }

    [TestMethod]
    public void ReusedRoutingKeepsTheExpertsAndByChoiceTheGates()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(8, CPU);
        using var mixture = new MixtureOfExperts(4, new MixtureOfExpertsOptions { ExpertWidth = 8, TrainingCapacity = null });
        mixture.eval();
        var (x_TD, other_TD) = (randn(6, 4), randn(6, 4));
        var first = mixture.forward(x_TD);

        TensorAssert.AreClose(first.Output_TD, mixture.ForwardWith(x_TD, first.Routing, RoutingReuse.ExpertsAndGates), 1e-6);
        TensorAssert.AreClose(first.Output_TD, mixture.ForwardWith(x_TD, first.Routing, RoutingReuse.Experts), 1e-6);
        var withGates = mixture.ForwardWith(other_TD, first.Routing, RoutingReuse.ExpertsAndGates);
        var withoutGates = mixture.ForwardWith(other_TD, first.Routing, RoutingReuse.Experts);
        Assert.IsGreaterThan(1e-3, (withGates - withoutGates).abs().max().ToDouble());
    }

    [TestMethod]
    public void WidthThatIsNoMultipleOfTheHeadsIsRefused()
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() => new MultiHeadAttention(10, 3));
        Assert.Contains("width is 10 and the number of heads 3", error.Message);
    }
}
