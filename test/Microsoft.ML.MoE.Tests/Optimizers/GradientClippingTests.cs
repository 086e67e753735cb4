using Microsoft.ML.MoE.Optimizers;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Optimizers;

[TestClass]
public sealed class GradientClippingTests
{
    [TestMethod]
    public void NormIsThatOfAllGradientsTogether()
    {
        using var scope = NewDisposeScope();

        Assert.AreEqual(13, GradientClipping.Norm([WithGradient(3, 4), WithGradient(12), new Parameter(ones(5))]).item<float>(), 1e-5);
        Assert.AreEqual(0, GradientClipping.Norm([new Parameter(ones(5))]).item<float>());
    }

    [TestMethod]
    [DataRow(2.0, 6.5)]    // 13 / 2
    [DataRow(13.1, 1.0)]
    [DataRow(100.0, 1.0)]
    public void DivisorBringsTheNormDownToTheLimitAndNeverUp(double maxNorm, double divisor)
    {
        using var scope = NewDisposeScope();

        Assert.AreEqual(divisor, GradientClipping.Divisor(tensor(13f), maxNorm).item<float>(), 1e-5);
    }

    [TestMethod]
    public void ClippedStepsEqualTorchSharpsClipping()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        Parameter[] ours = [new(ones(4, 3)), new(ones(7))], theirs = [new(ones(4, 3)), new(ones(7))];
        using var optimizer = new FusedAdamW([new([new("a", ours[0]), new("b", ours[1])], 0.1)]);
        using var torchSharp = optim.AdamW(theirs, lr: 0.1, weight_decay: 0.1);

        for (int step = 0; step < 4; step++)
        {
            for (int i = 0; i < ours.Length; i++)
            {
                ours[i].grad = randn(ours[i].shape, generator: generator) * (step - 1);   // norms above and below the limit, and 0
                theirs[i].grad = ours[i].grad!.clone();
            }
            optimizer.Step(0.1, GradientClipping.Divisor(GradientClipping.Norm(ours), 1.5));
            nn.utils.clip_grad_norm_(theirs, 1.5);
            torchSharp.step();

            for (int i = 0; i < ours.Length; i++)
            {
                Assert.AreEqual(0, (ours[i].grad! - theirs[i].grad!).abs().max().item<float>(), 1e-6);
                Assert.AreEqual(0, (ours[i] - theirs[i]).abs().max().item<float>(), 1e-5);
            }
        }
    }

    [TestMethod]
    public void ALimitOfZeroIsRefused()
    {
        using var scope = NewDisposeScope();

        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => GradientClipping.Divisor(tensor(1f), 0)).Message, "maxNorm is 0");
    }

    private static Parameter WithGradient(params float[] gradient) => new(zeros(gradient.Length)) { grad = tensor(gradient) };
}
