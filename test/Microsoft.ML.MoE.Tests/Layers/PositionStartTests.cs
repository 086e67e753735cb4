using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

/// <summary>What the embeddings of positions are before training.</summary>
[TestClass]
public sealed class PositionStartTests
{
    [TestMethod]
    public void Waves_ByHand()
    {
        using var scope = NewDisposeScope();
        var waves_LD = PositionWaves.Create(rows: 2, columns: 3, width: 8);
        CollectionAssert.AreEqual(new long[] { 6, 8 }, waves_LD.shape);
        double[] expected =
        [
            Math.Sin(2),
            Math.Sin(0.2),
            Math.Cos(2),
            Math.Cos(0.2),
            Math.Sin(1),
            Math.Sin(0.1),
            Math.Cos(1),
            Math.Cos(0.1),
        ];
        TensorAssert.AreClose(tensor(expected, float32), waves_LD[5], 1e-6);   // row 1, column 2: frequencies 1 and 100^(-1/2)
        TensorAssert.AreClose(tensor(new float[] { 0, 0, 1, 1, 0, 0, 1, 1 }), waves_LD[0], 1e-6);
    }

    [TestMethod]
    public void AModelStartsFromWaves_WithNothingBeforeThePatches()
    {
        using var scope = NewDisposeScope();
        using var model = (
            WideNetConfig.Tiny with { PositionStart = PositionStart.SineCosine, PositionDeviation = 0.3, ClassToken = ClassToken.Zero }
        ).Build();
        var positions_LD = model.named_parameters().Single(pair => pair.name == "positions").parameter.detach()[0];
        Assert.AreEqual(0f, positions_LD[0].abs().max().item<float>());
        TensorAssert.AreClose(PositionWaves.Create(2, 2, 16) * (0.3 * Math.Sqrt(2)), positions_LD.narrow(0, 1, 4), 1e-6);
        Assert.AreEqual(0.3, positions_LD.narrow(0, 1, 4).square().mean().sqrt().item<float>(), 1e-6);
    }

    [TestMethod]
    public void Waves_NeedAWidthOfFours()
    {
        var error = Assert.ThrowsExactly<ArgumentException>(
            (WideNetConfig.Tiny with { PositionStart = PositionStart.SineCosine, Width = 18 }).Validate);
        StringAssert.Contains(error.Message, "Width is 18; the width must be a multiple of 4");
        error = Assert.ThrowsExactly<ArgumentException>((WideNetConfig.Tiny with { PositionStart = (PositionStart)7 }).Validate);
        StringAssert.Contains(error.Message, "PositionStart is 7; it must be Random or SineCosine");
    }
}
