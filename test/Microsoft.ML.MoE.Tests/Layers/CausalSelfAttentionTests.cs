using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

[TestClass]
public sealed class CausalSelfAttentionTests
{
    [TestMethod]
    [DataRow(1, 0)]
    [DataRow(7, 0)]
    [DataRow(1, 6)]
    [DataRow(3, 4)]
    public void TheDefinition_IsALoopOverQueries(int length, int before)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var query_NHLA = randn(2, 3, length, 4);
        var (key_NHPA, value_NHPA) = (randn(2, 3, before + length, 4), randn(2, 3, before + length, 4));
        var expected_NHLA = zeros_like(query_NHLA);
        for (var l = 0; l < length; l++)
        {
            var weights_NHP = (key_NHPA.narrow(2, 0, before + l + 1) * query_NHLA.narrow(2, l, 1)).sum(3).div(2).softmax(-1);   // √4
            expected_NHLA.select(2, l).copy_((value_NHPA.narrow(2, 0, before + l + 1) * weights_NHP.unsqueeze(3)).sum(2));
        }
        TensorAssert.AreClose(expected_NHLA, CausalSelfAttention.Define(query_NHLA, key_NHPA, value_NHPA, before), 1e-5);
    }

    [TestMethod]
    public void TheFusedPath_AgreesWithTheDefinition_GradientsToo()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var attention = new CausalSelfAttention(12, 3);
        using var rotary = new RotaryPositions(4, 9);
        var (x_NLD, weight_NLD) = (randn(2, 9, 12).requires_grad_(), randn(2, 9, 12));
        (attention.forward(x_NLD, rotary, null, 0) * weight_NLD).sum().backward();

        var y_NLD = x_NLD.detach().clone().requires_grad_();
        var parameters = attention
            .named_parameters()
            .ToDictionary(pair => pair.name, pair => pair.parameter.detach().clone().requires_grad_());
        var qkv_3NHLA = nn.functional.linear(y_NLD, parameters["queryKeyValue.weight"], parameters["queryKeyValue.bias"])
            .view(2, 9, 3, 3, 4)
            .permute(2, 0, 3, 1, 4);
        var mixed_NHLA = CausalSelfAttention.Define(rotary.forward(qkv_3NHLA[0]), rotary.forward(qkv_3NHLA[1]), qkv_3NHLA[2], 0);
        var expected_NLD = nn.functional.linear(
            mixed_NHLA.transpose(1, 2).reshape(2, 9, 12), parameters["output.weight"], parameters["output.bias"]);
        (expected_NLD * weight_NLD).sum().backward();

        TensorAssert.AreClose(expected_NLD, attention.forward(x_NLD, rotary, null, 0), 1e-5);
        TensorAssert.AreClose(y_NLD.grad!, x_NLD.grad!, 1e-4, "x");
        foreach (var (name, parameter) in attention.named_parameters())
            TensorAssert.AreClose(parameters[name].grad!, parameter.grad!, 1e-4, name);
    }

    [TestMethod]
    public void Rotation_IsThatOfPairs()
    {
        using var scope = NewDisposeScope();
        using var rotary = new RotaryPositions(4, 3);
        var turned = rotary.forward(tensor(new float[] { 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4 }, [3, 4])).data<float>().ToArray();

        // Pairs (1, 3) with θ = 1 and (2, 4) with θ = 10000^(-1/2) = 0.01.
        for (var position = 0; position < 3; position++)
        {
            foreach (var (a, x, y, angle) in new[] { (0, 1.0, 3.0, position * 1.0), (1, 2.0, 4.0, position * 0.01) })
            {
                Assert.AreEqual((x * Math.Cos(angle)) - (y * Math.Sin(angle)), turned[(position * 4) + a], 1e-5);
                Assert.AreEqual((y * Math.Cos(angle)) + (x * Math.Sin(angle)), turned[(position * 4) + a + 2], 1e-5);
            }
        }
        TensorAssert.AreClose(rotary.forward(ones(1, 3, 4)).narrow(1, 2, 1), rotary.forward(ones(1, 1, 4), 2), 0);
        Assert.IsEmpty(rotary.parameters());
        Assert.ThrowsExactly<ArgumentException>(() => new RotaryPositions(3, 3));
    }

    [TestMethod]
    public void WhatTwoTokensSayToEachOther_DependsOnTheirDistance()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var rotary = new RotaryPositions(8, 20);
        var (query_LA, key_LA) = (randn(1, 8), randn(1, 8));
        var near = (rotary.forward(query_LA, 5) * rotary.forward(key_LA, 3)).sum().ToDouble();
        Assert.AreEqual(near, (rotary.forward(query_LA, 19) * rotary.forward(key_LA, 17)).sum().ToDouble(), 1e-4);
    }
}
