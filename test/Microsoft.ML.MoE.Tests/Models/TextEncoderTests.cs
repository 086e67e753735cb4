using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

[TestClass]
public sealed class TextEncoderTests
{
    private static readonly Dictionary<string, TextEncoderConfig> Configs = new()
    {
        ["BERT"] = TextEncoderConfig.Tiny,
        ["ALBERT"] = TextEncoderConfig.Tiny with { ShareParameters = true, ShareLayerNorms = true, Gelu = GeluForm.Tanh },
        ["WideNet"] = TextEncoderConfig.Tiny with { ShareParameters = true, Experts = 4, RouterNoise = 0, TrainingCapacity = null },
        ["mixtures"] = TextEncoderConfig.Tiny with { Experts = 3, RouterNoise = 0, TrainingCapacity = null, Pooler = false },
        ["not factorised"] = TextEncoderConfig.Tiny with { EmbeddingWidth = 16, Segments = 1 },
    };

    public static IEnumerable<string> Names => Configs.Keys;

    // Millions of parameters of the encoder; experts have 4,722,432 each.
    [TestMethod]
    public void ThePapersSizesHaveThePapersParameters()
    {
        var widenet = TextEncoderConfig.WideNetBase;
        double[] millions = [89.65, 82.57, 44.78, 25.89, 11.68];
        foreach (var (preset, wanted) in TextEncoderPresets.All.Zip(millions))
            Assert.AreEqual(wanted, Math.Round(preset.Config.GetCost().Parameters / 1e6, 2), preset.Name);
        Assert.AreEqual(
            4 * (4_722_432L + 768), (widenet with { Experts = 8 }).GetCost().Parameters - widenet.GetCost().Parameters, "and a router's row");
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void CostsAreThoseOfTheModule(string name)
    {
        using var model = Configs[name].Build(META);
        Assert.AreEqual(
            ModuleWeights.Collect(model).Values.Sum(tensor => tensor.numel()), Configs[name].GetCost().Parameters);
    }

    [TestMethod]
    public void ThePapersSizesReadTexts()
    {
        foreach (var config in new[] { TextEncoderConfig.AlbertBase, TextEncoderConfig.WideNetBase })
        {
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            using var seed = new SeedScope(1, CPU);
            using var model = config.Build();
            model.eval();
            var output = model.forward(randint(30_000, [2, 9], int64), ones(2, 9, dtype: @bool), null);
            CollectionAssert.AreEqual(new long[] { 2, 9, 768 }, output.States_NLD.shape);
            Assert.IsTrue(output.States_NLD.isfinite().all().ToBoolean());
        }
    }

    // A text is read alike alone and beside a longer one, whatever its padding holds.
    [TestMethod]
    [DynamicData(nameof(Names))]
    public void PaddingChangesNothing(string name)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(1, CPU);
        using var model = Random(Configs[name]);
        model.eval();
        var ids_NL = randint(60, [3, 9], int64);
        var lengths = new[] { 9, 4, 1 };
        var isToken_NL = stack(lengths.Select(length => arange(9) < length).ToArray());
        var together = model.forward(ids_NL, isToken_NL, null);
        Assert.AreEqual(Configs[name].Experts == 0 ? 0 : 3, together.Routing.Count);
        foreach (var record in together.Routing)
            Assert.AreEqual(lengths.Sum(), record.ExpertIds_TK.shape[0], "padding is not routed");
        var other_NL = ids_NL.masked_fill(isToken_NL.logical_not(), 5);
        TensorAssert.AreClose(
            TextEncoder.Mean(together.States_NLD, isToken_NL), TextEncoder.Mean(model.forward(other_NL, isToken_NL, null).States_NLD, isToken_NL), 0);
        for (var i = 0; i < lengths.Length; i++)
        {
            var alone_1L = ids_NL.narrow(0, i, 1).narrow(1, 0, lengths[i]);
            var alone = model.forward(alone_1L, ones_like(alone_1L).to(@bool), null);
            TensorAssert.AreClose(alone.States_NLD, together.States_NLD.narrow(0, i, 1).narrow(1, 0, lengths[i]), 1e-5, $"text {i}");
            if (alone.Pooled_ND is not null)
                TensorAssert.AreClose(alone.Pooled_ND, together.Pooled_ND!.narrow(0, i, 1), 1e-5, $"text {i}");
            TensorAssert.AreClose(
                alone.States_NLD.mean([1]), TextEncoder.Mean(together.States_NLD, isToken_NL).narrow(0, i, 1), 1e-5, $"text {i}");
        }
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void EveryParameterLearns_AndNoGradientComesFromPadding(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var model = Random(Configs[name]);
        var ids_NL = randint(59, [4, 8], int64);
        ids_NL[1, 6] = 59;   // after the end of its text, and nowhere else
        var isToken_NL = stack(new[] { 8, 5, 8, 2 }.Select(length => arange(8) < length).ToArray());
        var segments_NL = model.Config.Segments > 1 ? (arange(8) > 3).to(int64).repeat([4, 1]) : null;
        var output = model.forward(ids_NL, isToken_NL, segments_NL);
        (TextEncoder.Mean(output.States_NLD, isToken_NL).pow(3).sum() + (output.Pooled_ND?.sum() ?? zeros([])) + output.AuxiliaryLoss).backward();
        foreach (var (parameter, tensor) in model.named_parameters())
            Assert.IsGreaterThan(0, tensor.grad!.abs().max().ToDouble(), parameter);
        Assert.AreEqual(0, model.named_parameters().Single(p => p.name == "tokens.weight").parameter.grad![59].abs().max().ToDouble());
    }

    // ½x · (1 + tanh(√(2/π) · (x + 0.044715x³))) at 1 and −0.5.
    [TestMethod]
    public void TanhGeluIsThePublishedForm()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var network = new FeedForward(1, 1, gelu: GeluForm.Tanh);
        foreach (var (_, parameter) in network.named_parameters())
            parameter.fill_(parameter.dim() == 2 ? 1 : 0);
        var y = network.forward(tensor(new[,] { { 1f }, { -0.5f } }));
        Assert.AreEqual(0.841192, y[0, 0].ToDouble(), 1e-6);
        Assert.AreEqual(-0.154286, y[1, 0].ToDouble(), 1e-6);
    }

    [TestMethod]
    public void AMaskIsTheSameInBothFormsOfAttention()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var parts = Enumerable.Range(0, 3).Select(_ => randn([2, 2, 5, 4], generator: generator).requires_grad_()).ToArray();
        var seen = tensor(new[,] { { true, true, true, false, false }, { true, true, true, true, true } }).unsqueeze(1).unsqueeze(1);
        var plain = MultiHeadAttention.Define(parts[0], parts[1], parts[2], seen);
        var fused = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], seen);
        TensorAssert.AreClose(plain, fused, 1e-5);
        plain.square().sum().backward();
        var gradients = parts.Select(part => part.grad!.clone()).ToArray();
        foreach (var part in parts)
            part.grad!.zero_();
        fused.square().sum().backward();
        foreach (var (part, gradient) in parts.Zip(gradients))
            TensorAssert.AreClose(gradient, part.grad!, 1e-4);
        Assert.AreEqual(0, gradients[1][0, .., 3..].abs().max().ToDouble(), "of a key that nobody sees");
    }

    [TestMethod]
    public void NoTensorIsLeftBehind()
    {
        using var scope = NewDisposeScope();
        using var model = Configs["WideNet"].Build();
        var ids_NL = randint(60, [3, 9], int64);
        var isToken_NL = stack(new[] { 9, 4, 1 }.Select(length => arange(9) < length).ToArray());
        var before = LiveTensors.Count();
        for (var i = 0; i < 3; i++)
        {
            using var inner = NewDisposeScope();
            model.forward(ids_NL, isToken_NL, null).States_NLD.sum().backward();
            model.zero_grad(set_to_none: true);
        }
        Assert.AreEqual(before, LiveTensors.Count());
    }

    [TestMethod]
    public void WhatCannotBeReadIsNamed()
    {
        using var scope = NewDisposeScope();
        using var model = TextEncoderConfig.Tiny.Build();
        var (ids_NL, isToken_NL) = (zeros(2, 3, dtype: int64), ones(2, 3, dtype: @bool));
        AssertRefused("The longest text has 25 tokens; MaxTokens is 24", zeros(1, 25, dtype: int64), ones(1, 25, dtype: @bool), null);
        AssertRefused("There is a token 60; they are from 0 to 59", ids_NL + 60, isToken_NL, null);
        AssertRefused("There is a token -1", ids_NL - 1, isToken_NL, null);
        AssertRefused("There is a segment beyond 1", ids_NL, isToken_NL, ids_NL + 2);
        AssertRefused("A text has no token", ids_NL, zeros(2, 3, dtype: @bool), null);
        AssertRefused("The shape (2, 2) is not that of the tokens (2, 3)", ids_NL, ones(2, 2, dtype: @bool), null);
        AssertRefused("(N, L) is wanted", zeros(3, dtype: int64), isToken_NL, null);
        foreach (var (config, message) in new[]
        {
            (TextEncoderConfig.Tiny with { Heads = 3 }, "Width is 16 and Heads is 3"),
            (TextEncoderConfig.Tiny with { MaxTokens = 0 }, "MaxTokens is 0"),
            (TextEncoderConfig.Tiny with { Dropout = 1 }, "Dropout is 1"),
            (TextEncoderConfig.Tiny with { Experts = 1 }, "ExpertsPerToken is 2"),
            (TextEncoderConfig.Tiny with { NormEpsilon = 0 }, "NormEpsilon is 0"),
        })
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => config.Build()).Message);

        void AssertRefused(string message, Tensor ids, Tensor isToken, Tensor? segments) =>
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => model.forward(ids, isToken, segments)).Message);
    }

    private static TextEncoder Random(TextEncoderConfig config)
    {
        var model = config.Build();
        SmallModels.Randomise(model);
        return model;
    }
}
