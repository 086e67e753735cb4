using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

/// <summary>The convolutions that make tokens of an image.</summary>
[TestClass]
public sealed class ConvolutionalEmbeddingTests
{
    [TestMethod]
    [DataRow(1, 8, 8, 4, StemHalving.MaxPooling, true)]
    [DataRow(5, 8, 8, 4, StemHalving.MaxPooling, false)]
    [DataRow(2, 7, 5, 2, StemHalving.MaxPooling, true)]
    [DataRow(3, 9, 13, 8, StemHalving.MaxPooling, true)]
    [DataRow(2, 8, 6, 4, StemHalving.Stride, true)]
    [DataRow(3, 9, 5, 4, StemHalving.Stride, false)]
    [DataRow(1, 4, 4, 4, StemHalving.Stride, true)]
    [DataRow(2, 3, 4, 1, StemHalving.MaxPooling, true)]
    public void EqualsThePlainDefinition_WithAllGradients(int images, int height, int width, int patch, StemHalving halving, bool training)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var options = new ConvolutionalStem { Halving = halving, FirstChannels = 5 };
        using var stem = new ConvolutionalEmbedding(options, channels: 3, patch, width: 11);
        Randomise(stem);
        stem.train(training);
        var (mine_NCHW, plain_NCHW) = (Leaf(randn(images, 3, height, width)), default(Tensor)!);
        plain_NCHW = Leaf(mine_NCHW);
        var parameters = stem.named_parameters().ToDictionary(pair => pair.name, pair => Leaf(pair.parameter));
        var buffers = stem.named_buffers().ToDictionary(pair => pair.name, pair => pair.buffer.clone());

        var plain_NLD = Define(plain_NCHW, parameters, buffers, patch, halving, training);
        var mine_NLD = stem.forward(mine_NCHW);

        CollectionAssert.AreEqual(
            new long[] { images, (height + patch - 1) / patch * ((width + patch - 1) / patch), 11 }, mine_NLD.shape);
        TensorAssert.AreClose(plain_NLD, mine_NLD, 1e-5);
        var weights = randn_like(plain_NLD);
        (plain_NLD * weights).sum().backward();
        (mine_NLD * weights).sum().backward();
        TensorAssert.AreClose(plain_NCHW.grad!, mine_NCHW.grad!, 1e-4, "images");
        foreach (var (name, parameter) in stem.named_parameters())
            TensorAssert.AreClose(parameters[name].grad!, parameter.grad!, 1e-4, name);
        foreach (var (name, buffer) in stem.named_buffers())
            TensorAssert.AreClose(buffers[name], buffer, 1e-5, name);
    }

    [TestMethod]
    public void ImagesThatNeedNoGradient_GiveTheWeightsTheSameOnes()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var stem = new ConvolutionalEmbedding(new(), channels: 1, patchSize: 4, width: 16);
        var images_NCHW = randn(3, 1, 12, 12);
        stem.forward(Leaf(images_NCHW)).square().sum().backward();
        var wanted = stem.parameters().Select(parameter => parameter.grad!.clone()).ToArray();
        stem.zero_grad();
        stem.forward(images_NCHW).square().sum().backward();
        foreach (var (want, parameter) in wanted.Zip(stem.parameters()))
            TensorAssert.AreClose(want, parameter.grad!, 1e-5);
    }

    [TestMethod]
    [DataRow(1, 1)]
    [DataRow(3, 2)]
    public void TheProductOfWindows_IsTheConvolution(int channels, int stride)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        var (x_NCHW, weight_OIYX) = (randn(2, channels, 5, 7), randn(6, channels, 3, 3));
        TensorAssert.AreClose(
            nn.functional.conv2d(x_NCHW, weight_OIYX, strides: [stride, stride], padding: [1, 1]),
            ConvolutionalEmbedding.Define(x_NCHW, weight_OIYX, stride));
    }

    [TestMethod]
    [DataRow(true, false, true)]
    [DataRow(false, false, true)]
    [DataRow(true, true, true)]
    [DataRow(true, true, false)]
    public void BatchNormalisationIsItsDefinition(bool training, bool images, bool affine)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        using var norm = new BatchNorm(4, affine: affine);
        Randomise(norm);
        norm.train(training);
        var x_TQ = images ? randn(3, 4, 2, 5) : randn(6, 4);
        var defined_TQ = norm.Define(x_TQ, byBatch: training);   // first: the other moves the running means
        TensorAssert.AreClose(defined_TQ, norm.forward(x_TQ), 1e-5);
    }

    [TestMethod]
    public void WhatIsFixed_NormalisesByItsRunningMeansAndLeavesThem()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var norm = new BatchNorm(4);
        _ = norm.forward(randn(8, 4, 3, 3) * 2 + 1);
        var before = norm.named_buffers().Select(pair => pair.buffer.clone()).ToArray();
        var x_NCHW = randn(8, 4, 3, 3);
        norm.IsFixed = true;
        var fixed_NCHW = norm.forward(x_NCHW);
        norm.eval();
        TensorAssert.AreClose(norm.forward(x_NCHW), fixed_NCHW, 0);
        foreach (var (wanted, (_, buffer)) in before.Zip(norm.named_buffers()))
            TensorAssert.AreClose(wanted, buffer, 0);
    }

    [TestMethod]
    public void CostsAreThoseCountedByHand()
    {
        // 28×28 grey: 3×3×1×32 at 784 pixels, 3×3×32×64 at 196; two scales and shifts.
        var config = WideNetConfig.Small with { Width = 64, Stem = new(), Blocks = 0, Experts = 0, Pooling = Pooling.Attention };
        var cost = config.GetCost();
        Assert.AreEqual((784 * 288) + (196 * 18_432) + (2 * 49 * 64) + (64 * 10), cost.ForwardMacs);
        Assert.AreEqual(288 + 18_432 + (2 * 32) + (2 * 64) + (49 * 64) + (2 * 64) + 64 + 650, cost.Parameters);
        using var model = config.Build(META);
        Assert.AreEqual(cost.Parameters, model.parameters().Sum(parameter => parameter.numel()));

        // By strides they are made at a quarter of the places. Odd sides are rounded up: 15×9, 8×5, 4×3.
        var strided = MlpMixerConfig.Tiny with
        {
            ImageHeight = 15,
            ImageWidth = 9,
            Stem = new() { Halving = StemHalving.Stride, FirstChannels = 6 },
        };
        Assert.AreEqual(12, strided.Patches);
        var patches = strided with { Stem = null, ImageHeight = 16, ImageWidth = 12 };
        Assert.AreEqual(12, patches.Patches);
        Assert.AreEqual(
            patches.GetCost().ForwardMacs - (12 * 48 * 16) + (40 * 27 * 6) + (12 * 54 * 16), strided.GetCost().ForwardMacs);
    }

    [TestMethod]
    public void PresetsForSmallDataSpendAThirdAtMostOnTheStem_AndAsMuchAsOneAnother()
    {
        ImageClassifierConfig[] thumbnails =
        [
            WideNetConfig.Thumbnail, VisionTransformerConfig.Thumbnail, VisionTransformerConfig.MoeThumbnail, MlpMixerConfig.Thumbnail,
            SparseMlpConfig.Thumbnail,
        ];
        ImageClassifierConfig[] compact =
            [WideNetConfig.Compact, VisionTransformerConfig.Compact, MlpMixerConfig.Compact, SparseMlpConfig.Compact];
        foreach (var family in new[] { thumbnails, compact })
        {
            foreach (var config in family)
            {
                var width = config.FeatureWidth;
                var stem = config.Stem!.Macs(config.Channels, config.PatchSize, width, config.ImageHeight, config.ImageWidth);
                var all = config.GetCost().ForwardMacs;
                Assert.IsGreaterThan(3 * stem, all, config.ToString());
                Assert.AreEqual(1, (double)all / family[0].GetCost().ForwardMacs, 0.1, config.ToString());
            }
        }
        Assert.AreEqual(12, thumbnails[0].GetCost().ForwardMacs / 1_000_000);
        Assert.AreEqual(243, compact[0].GetCost().ForwardMacs / 1_000_000);
    }

    [TestMethod]
    [DataRow(2, 64, null, "1→64")]
    [DataRow(4, 64, null, "1→32→64")]
    [DataRow(16, 64, null, "1→8→16→32→64")]
    [DataRow(16, 64, 24, "1→24→48→64→64")]
    [DataRow(4, 6, null, "1→6→6")]
    [DataRow(1, 64, 24, "1→64")]
    public void ChannelsDoubleUpToTheWidth(int patch, int width, int? first, string wanted)
    {
        var convolutions = new ConvolutionalStem { FirstChannels = first }.Convolutions(1, patch, width);
        Assert.AreEqual(wanted, $"{convolutions[0].Inputs}→{string.Join('→', convolutions.Select(one => one.Outputs))}");
        Assert.AreEqual(patch > 1, convolutions.All(one => one.Halves));
    }

    // One convolution after the other, each sum written out over the nine places of the window.
    private static Tensor Define(
        Tensor x_NCHW,
        Dictionary<string, Tensor> parameters,
        Dictionary<string, Tensor> buffers,
        int patch,
        StemHalving halving,
        bool training)
    {
        for (var i = 0; i < Math.Max(1, (int)Math.Log2(patch)); i++)
        {
            var (height, width) = ((int)x_NCHW.shape[2], (int)x_NCHW.shape[3]);
            var padded = nn.functional.pad(x_NCHW, [1, 1, 1, 1]);
            var weight = parameters[$"weights.{i}"];
            var y = zeros(x_NCHW.shape[0], weight.shape[0], height, width);
            for (var dy = 0; dy < 3; dy++)
            {
                for (var dx = 0; dx < 3; dx++)
                    y += einsum("nchw,oc->nohw", padded.narrow(2, dy, height).narrow(3, dx, width), weight.select(3, dx).select(2, dy));
            }
            if (patch > 1)
            {
                y = halving == StemHalving.Stride
                    ? y[TensorIndex.Colon, TensorIndex.Colon, TensorIndex.Slice(0, null, 2), TensorIndex.Slice(0, null, 2)]
                    : nn.functional.pad(y, [0, width % 2, 0, height % 2], value: double.NegativeInfinity)
                        .unfold(2, 2, 2).unfold(3, 2, 2).amax([4, 5]);
            }

            var count = y.numel() / y.shape[1];
            var (mean, variance) = (buffers[$"norms.{i}.runningMean"], buffers[$"norms.{i}.runningVariance"]);
            if (training && count > 1)
            {
                var batchMean = y.mean([0, 2, 3]);
                var batchVariance = (y - batchMean.view(1, -1, 1, 1)).square().mean([0, 2, 3]);
                buffers[$"norms.{i}.runningMean"] = (mean * 0.9 + batchMean * 0.1).detach();
                buffers[$"norms.{i}.runningVariance"] = (variance * 0.9 + batchVariance * (0.1 * count / (count - 1))).detach();
                (mean, variance) = (batchMean, batchVariance);
            }
            y = (y - mean.view(1, -1, 1, 1)) / (variance.view(1, -1, 1, 1) + 1e-5).sqrt();
            x_NCHW = (y * parameters[$"norms.{i}.weight"].view(1, -1, 1, 1) + parameters[$"norms.{i}.bias"].view(1, -1, 1, 1)).clamp_min(0);
        }
        return x_NCHW.permute(0, 2, 3, 1).flatten(1, 2);
    }

    private static Tensor Leaf(Tensor x) => x.detach().clone().requires_grad_();

    private static void Randomise(nn.Module module)
    {
        using var noGrad = no_grad();
        foreach (var (name, parameter) in module.named_parameters())
            parameter.add_(randn_like(parameter) * 0.1);
        foreach (var (_, buffer) in module.named_buffers())
            buffer.add_(rand_like(buffer));
    }
}
