using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>A CUDA device computes what the CPU does.</summary>
[TestClass]
[RequiresCuda]
[TestCategory("Cuda")]
public sealed class ImageClassifierCudaTests
{
    [TestMethod]
    [DataRow("widenet-tiny")]
    [DataRow("widenet-thumbnail")]
    [DataRow("vit-moe-tiny")]
    [DataRow("vit-tiny")]
    [DataRow("sparse-mlp-tiny")]
    [DataRow("mixer-tiny")]
    public void OutputsAndGradientsAreTheCpus(string preset)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var config = WithoutNoise(Config(preset));   // generators differ between devices
        using var onCpu = config.Build();
        using (no_grad())
        {
            foreach (var parameter in onCpu.parameters())
                parameter.add_(randn_like(parameter) * 0.1);
        }

        using var onGpu = config.Build(CUDA);
        onGpu.load_state_dict(onCpu.state_dict());
        var images_NCHW = randn(8, config.Channels, config.ImageHeight, config.ImageWidth);

        var (expected_NC, expectedAuxiliary) = Step(onCpu, images_NCHW);
        var (actual_NC, actualAuxiliary) = Step(onGpu, images_NCHW.cuda());

        Assert.AreEqual(DeviceType.CUDA, actual_NC.device_type);
        TensorAssert.AreClose(expected_NC, actual_NC.cpu(), 1e-3);
        TensorAssert.AreClose(expectedAuxiliary, actualAuxiliary.cpu(), 1e-4);
        foreach (var ((name, expected), actual) in onCpu.named_parameters().Zip(onGpu.parameters()))
            TensorAssert.AreClose(expected.grad!, actual.grad!.cpu(), 1e-3 * Math.Max(1, expected.grad!.abs().max().ToDouble()), name);
    }

    [TestMethod]
    [DataRow("widenet-tiny")]
    [DataRow("widenet-thumbnail")]
    [DataRow("vit-moe-tiny")]
    [DataRow("vit-tiny")]
    [DataRow("sparse-mlp-tiny")]
    [DataRow("mixer-tiny")]
    public void BFloat16TrainsWithFiniteNumbers(string preset)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CUDA);
        var config = Config(preset);
        using var model = config.Build(CUDA, ScalarType.BFloat16);
        var (logits_NC, _) = Step(model, randn(8, config.Channels, config.ImageHeight, config.ImageWidth, device: CUDA));
        Assert.IsTrue(logits_NC.isfinite().all().ToBoolean());
        foreach (var (name, parameter) in model.named_parameters())
            Assert.IsTrue(parameter.grad!.isfinite().all().ToBoolean(), name);
    }

    private static ImageClassifierConfig Config(string preset) =>
        ImageClassifierPresets.All.Single(candidate => candidate.Name == preset).Config;

    private static ImageClassifierConfig WithoutNoise(ImageClassifierConfig config) => config switch
    {
        TransformerClassifierConfig transformer => transformer with { RouterNoise = 0 },
        SparseMlpConfig sparse => sparse with { RouterNoise = 0 },
        _ => config,
    };

    private static (Tensor Logits_NC, Tensor AuxiliaryLoss) Step(ImageClassifier model, Tensor images_NCHW)
    {
        var output = model.forward(images_NCHW);
        (output.Logits_NC.square().sum() + output.AuxiliaryLoss).backward();
        return (output.Logits_NC.detach(), output.AuxiliaryLoss.detach());
    }
}
