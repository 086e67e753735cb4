using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
public sealed class CastWeightsTests
{
    [TestMethod]
    public void AWeightIsCastOnce_AndNotWhereItHasTheType()
    {
        using var weight = new Parameter(tensor(new[] { 1f, 1f / 3 }));
        Step();
        var before = LiveTensors.Count();
        Step();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Step()
        {
            using var casts = CastWeights.Once();
            Assert.AreSame(weight, CastWeights.Of(weight, float32));
            Tensor cast;
            using (NewDisposeScope())   // a layer's
                cast = CastWeights.Of(weight, bfloat16);
            using var second = NewDisposeScope();   // another's
            Assert.AreSame(cast, CastWeights.Of(weight, bfloat16));
            CollectionAssert.AreEqual(
                new[] { 1f, 0.333984375f }, cast.to_type(float32).data<float>().ToArray(), "the nearest number with eight digits");
        }
    }

    [TestMethod]
    public void GradientsOfAllUsesArriveAtTheWeight()
    {
        using var scope = NewDisposeScope();
        using var weight = new Parameter(tensor(new[] { 1f, 2f }));
        Tensor loss;
        using (CastWeights.Once())
            loss = ((CastWeights.Of(weight, bfloat16) * 3) + (CastWeights.Of(weight, bfloat16) * CastWeights.Of(weight, bfloat16))).sum();

        loss.backward();   // after the casts are freed

        CollectionAssert.AreEqual(new[] { 5f, 7f }, weight.grad!.data<float>().ToArray());   // 3 + 2w
        Assert.AreEqual(float32, weight.grad!.dtype);
    }

    [TestMethod]
    public void AWideNetsSharedWeightsGetTheGradientsOfAllBlocks()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        // Every expert, else rounding may change which are chosen.
        var config = WideNetConfig.Tiny with { Blocks = 6, ExpertsPerToken = WideNetConfig.Tiny.Experts };
        using var exact = config.Build();
        using var rounded = config.Build(computeType: ScalarType.BFloat16);
        using (no_grad())
        {
            foreach (var parameter in exact.parameters())   // classes start at zero and would stop every gradient
                parameter.add_(randn_like(parameter) * 0.1);
        }
        rounded.load_state_dict(exact.state_dict());
        exact.eval();
        rounded.eval();

        var images_NCHW = randn(4, config.Channels, config.ImageHeight, config.ImageWidth);
        foreach (var model in new[] { exact, rounded })
            model.forward(images_NCHW).Logits_NC.square().sum().backward();

        foreach (var ((name, expected), (_, actual)) in exact.named_parameters().Zip(rounded.named_parameters()))
        {
            if (expected.grad is null)
                continue;
            var difference = (expected.grad - actual.grad!).norm().ToDouble() / expected.grad.norm().ToDouble();
            Assert.IsLessThan(0.1, difference, name);
        }
    }
}
