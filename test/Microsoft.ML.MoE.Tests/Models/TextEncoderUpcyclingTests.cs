using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>A mixture that grows out of a dense text encoder computes at first what that does.</summary>
[TestClass]
public sealed class TextEncoderUpcyclingTests
{
    [TestMethod]
    [DataRow(false, DisplayName = "BERT to its mixture")]
    [DataRow(true, DisplayName = "ALBERT to WideNet")]
    public void AtFirst_TheMixtureIsTheDenseNetwork(bool shared)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(1, CPU);
        var dense = TextEncoderConfig.Tiny with { ShareParameters = shared, ShareLayerNorms = shared };
        var sparse = dense with { Experts = 3, ShareLayerNorms = false, RenormalizeGates = true, TrainingCapacity = null, RouterNoise = 0 };
        Assert.IsTrue(sparse.CanGrowOutOf(dense));
        using var from = dense.Build();
        using var to = sparse.Build();
        var weights = ModuleWeights.Collect(from);
        foreach (var tensor in weights.Values)
            tensor.add_(randn_like(tensor) * 0.2);
        to.CopyFrom(dense, name => weights[name]);
        var ids_NL = randint(0, 60, [3, 7]);
        var isToken_NL = arange(7).unsqueeze(0) < tensor(new long[] { 7, 4, 1 }).unsqueeze(1);
        foreach (var training in new[] { false, true })
        {
            from.train(training);
            to.train(training);
            var (expected, actual) = (from.forward(ids_NL, isToken_NL, null), to.forward(ids_NL, isToken_NL, null));
            TensorAssert.AreClose(
                expected.States_NLD * isToken_NL.unsqueeze(2), actual.States_NLD * isToken_NL.unsqueeze(2), 1e-5);
            TensorAssert.AreClose(expected.Pooled_ND!, actual.Pooled_ND!, 1e-5);
        }

        // With noise the experts differ, and the network is another.
        to.CopyFrom(dense, name => weights[name], expertNoise: 0.5);
        var noisy = to.forward(ids_NL, isToken_NL, null).Pooled_ND!;
        Assert.IsGreaterThan(1e-3, (noisy - from.forward(ids_NL, isToken_NL, null).Pooled_ND!).abs().max().item<float>());
    }

    [TestMethod]
    public void WhatCannotGrowIsTold()
    {
        var dense = TextEncoderConfig.Tiny;
        Assert.IsTrue((dense with { Dropout = 0.3, Pooler = false }).CanGrowOutOf(dense));
        Assert.IsFalse((dense with { Experts = 2, ExpertWidth = 16 }).CanGrowOutOf(dense), "experts of another width");
        Assert.IsFalse((dense with { Experts = 2, Blocks = 2 }).CanGrowOutOf(dense), "fewer blocks");
        Assert.IsFalse((dense with { Experts = 2, ShareLayerNorms = true }).CanGrowOutOf(dense), "norms that become one");
        Assert.IsFalse(dense.CanGrowOutOf(dense with { Experts = 2 }), "a dense network out of a mixture");
        Assert.IsFalse((dense with { Experts = 4 }).CanGrowOutOf(dense with { Experts = 2 }), "other experts");
    }
}
