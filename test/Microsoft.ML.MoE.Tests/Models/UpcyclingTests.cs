using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>A dense network becomes a sparse one that says the same at first.</summary>
[TestClass]
public sealed class UpcyclingTests
{
    private static readonly VisionTransformerConfig DenseTransformer = VisionTransformerConfig.Tiny;

    private static readonly MlpMixerConfig DenseMixer = MlpMixerConfig.Tiny with { Blocks = 3 };

    private static readonly VisionTransformerConfig SparseTransformer = DenseTransformer with
    {
        Experts = 5,
        ExpertWidth = DenseTransformer.FeedForwardWidth,
        MixtureBlocks = 2,
        RenormalizeGates = true,
    };

    private static readonly SparseMlpConfig SparseMlp = SparseMlpConfig.Tiny with
    {
        Blocks = 3,
        ReRepresented = ReRepresentedAxes.None,
        SparseBlocks = BlockPositions.Last(2),
        SpatialWidth = DenseMixer.SpatialWidth,
        ChannelWidth = DenseMixer.ChannelWidth,
        SpatialExpertWidth = DenseMixer.SpatialWidth,
        ChannelExpertWidth = DenseMixer.ChannelWidth,
        SpatialExpertsPerItem = 2,
        RenormalizeGates = true,
    };

    private static readonly Dictionary<string, (ImageClassifierConfig Dense, ImageClassifierConfig Sparse)> Pairs = new()
    {
        ["ViT"] = (DenseTransformer, SparseTransformer),
        ["ViT, all blocks"] = (DenseTransformer, SparseTransformer with { MixtureBlocks = 3, ExpertsPerToken = 1 }),
        ["ViT with a stem"] = (
            VisionTransformerConfig.Thumbnail,
            VisionTransformerConfig.MoeThumbnail with
            {
                ExpertWidth = VisionTransformerConfig.Thumbnail.FeedForwardWidth,
                RenormalizeGates = true,
            }),
        ["Mixer"] = (DenseMixer, SparseMlp),
        ["Mixer, first block"] = (DenseMixer, SparseMlp with { SparseBlocks = BlockPositions.At(0) }),
        ["Mixer, spatial alone"] = (DenseMixer, SparseMlp with { ChannelExperts = 0 }),
        ["Mixer, none"] = (DenseMixer, SparseMlp with { SparseBlocks = BlockPositions.None }),
    };

    public static IEnumerable<string> Names => Pairs.Keys;

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void TheFirstForwardPassIsTheDenseNetworks(string name)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(1, CPU);
        var (denseConfig, sparseConfig) = Pairs[name];
        using var dense = SmallModels.Random(denseConfig);
        using var sparse = SmallModels.Random(sparseConfig);
        sparseConfig.RequireWeightsOf(denseConfig);
        sparse.CopyFrom(dense, [.. Enumerable.Range(0, denseConfig.ClassCount)]);
        var images_NCHW = randn(4, denseConfig.Channels, denseConfig.ImageHeight, denseConfig.ImageWidth);
        var expected = dense.forward(images_NCHW);
        var actual = sparse.forward(images_NCHW);
        TensorAssert.AreClose(expected.Logits_NC, actual.Logits_NC, 1e-5 * (1 + expected.Logits_NC.abs().max().ToDouble()));
        TensorAssert.AreClose(expected.Features_ND, actual.Features_ND, 1e-5 * (1 + expected.Features_ND.abs().max().ToDouble()));
        Assert.IsGreaterThan(0.01, expected.Logits_NC.abs().max().ToDouble());
    }

    // Of 5 equal experts of 64 hidden neurons, with noise of a tenth of the weights' deviation.
    [TestMethod]
    public void NoiseTellsTheExpertsApart()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(2, CPU);
        using var dense = SmallModels.Random(DenseTransformer);
        using var sparse = SparseTransformer.Build();
        sparse.CopyFrom(dense, null, expertNoise: 0.1);
        var experts_EDF = ModuleWeights.Collect(sparse)["mixtures.1.experts.weight1"];
        var weight_FD = ModuleWeights.Collect(dense)["feedForwards.2.expand.weight"];
        var added_EDF = experts_EDF - weight_FD.T;
        Assert.AreEqual(0.1 * weight_FD.std().ToDouble(), added_EDF.std().ToDouble(), 0.003 * weight_FD.std().ToDouble());
        Assert.IsGreaterThan(0.01 * weight_FD.std().ToDouble(), (experts_EDF[0] - experts_EDF[1]).abs().mean().ToDouble());
        TensorAssert.AreClose(
            ModuleWeights.Collect(dense)["feedForwards.2.contract.bias"].repeat([5, 1]),
            ModuleWeights.Collect(sparse)["mixtures.1.experts.bias2"], 0);
    }

    [TestMethod]
    public void TheRoutersAreNew_AndLearn()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var dense = SmallModels.Random(DenseTransformer);
        using var sparse = SparseTransformer.Build();
        var router_ED = ModuleWeights.Collect(sparse)["mixtures.0.router.weight"];
        var before_ED = router_ED.clone();
        sparse.CopyFrom(dense, [.. Enumerable.Range(0, DenseTransformer.ClassCount)], expertNoise: 0.2);
        TensorAssert.AreClose(before_ED, router_ED, 0);
        var output = sparse.forward(randn(4, 3, 8, 8));
        (output.Logits_NC.square().sum() + output.AuxiliaryLoss).backward();
        Assert.IsGreaterThan(0, router_ED.grad!.abs().max().ToDouble());
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        AssertRefused(
            SparseTransformer with { ExpertWidth = 32 },
            DenseTransformer,
            "ExpertWidth is 32, but FeedForwardWidth of the model to start from is 64; an expert begins as a dense layer of its width");
        AssertRefused(SparseTransformer with { Blocks = 4 }, DenseTransformer, "Blocks is 4, but the model to start from has 3");
        AssertRefused(
            SparseMlp with { ReRepresented = ReRepresentedAxes.Patches }, DenseMixer,
            "ReRepresented is Patches, but the model to start from is an MLP-Mixer, which has no such layers; it must be None");
        AssertRefused(
            SparseMlp with { ChannelExpertWidth = 16 }, DenseMixer,
            "ChannelExpertWidth is 16, but ChannelWidth of the model to start from is 32");
        AssertRefused(DenseTransformer, SparseTransformer, "MixtureBlocks is 0, but the model to start from has 2");
    }

    private static void AssertRefused(ImageClassifierConfig config, ImageClassifierConfig earlier, string message) =>
        Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => config.RequireWeightsOf(earlier)).Message);
}
