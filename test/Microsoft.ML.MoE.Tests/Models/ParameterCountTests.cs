using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>The exact counts behind the published, rounded-down ones, from the arithmetic of the papers' layers.</summary>
[TestClass]
public sealed class ParameterCountTests
{
    [TestMethod]
    [DataRow("vit-b16", 87_158_248)]
    [DataRow("vit-l16", 305_376_232)]
    [DataRow("vit-moe-b16", 128_089_320)]
    [DataRow("vit-moe-l16", 406_116_328)]
    [DataRow("widenet-b16", 29_690_600)]
    [DataRow("widenet-l16", 40_941_544)]
    [DataRow("widenet-l16-12-blocks", 40_892_392)]
    [DataRow("widenet-h16", 63_341_800)]
    [DataRow("widenet-h14", 63_188_200)]
    [DataRow("widenet-b16-shared-layernorm", 29_656_808)]
    [DataRow("widenet-l16-shared-layernorm", 40_847_336)]
    [DataRow("widenet-h16-shared-layernorm", 63_183_080)]
    [DataRow("widenet-b16-no-moe", 9_224_680)]
    [DataRow("widenet-l16-no-moe", 15_756_264)]
    [DataRow("widenet-h16-no-moe", 23_995_880)]
    [DataRow("vit-l16-shared-ffn-8192", 24_148_968)]
    public void PublishedSizesAreReproducedExactly(string name, long exact)
    {
        var preset = ImageClassifierPresets.All.Single(preset => preset.Name == name);
        Assert.AreEqual(exact, Distinct(preset.Config));
        Assert.AreEqual(exact, preset.Config.GetCost().Parameters);
        Assert.AreEqual(preset.Published, (int)(exact / 1_000_000));
    }

    [TestMethod]
    [DataRow("mixer-s16", 18_015_264)]
    [DataRow("mixer-b16", 59_111_472)]
    [DataRow("mixer-l16", 207_171_168)]
    [DataRow("sparse-mlp-s16", 22_402_608)]
    [DataRow("sparse-mlp-s16-patches", 21_347_888)]
    [DataRow("sparse-mlp-b16", 69_976_768)]
    [DataRow("sparse-mlp-b16-first-2", 69_976_768)]
    [DataRow("sparse-mlp-l16", 130_436_456)]
    public void PublishedSizesWithoutClassifierAreReproducedExactly(string name, long exact)
    {
        var preset = ImageClassifierPresets.All.Single(preset => preset.Name == name);
        using var model = preset.Config.Build(META);
        var classifier = model
            .named_parameters()
            .Where(pair => pair.name.StartsWith("classes.", StringComparison.Ordinal))
            .Sum(pair => pair.parameter.numel());
        Assert.AreEqual(exact, Distinct(preset.Config) - classifier);
        Assert.AreEqual(preset.Published, (int)(exact / 1_000_000));
        if (preset.Note.Contains("without", StringComparison.Ordinal))
            Assert.Contains(exact.ToString("N0", System.Globalization.CultureInfo.InvariantCulture), preset.Note);
    }

    [TestMethod]
    public void ASparseBlockOfSparseMlpBCountsByHand()
    {
        // Re-represent 750,604, spatial mixture 4,829,312, channel mixture 4,727,808, norms 1,536.
        var (one, two) = ((SparseMlpConfig.B16 with { SparseBlocks = BlockPositions.Last(1) }).GetCost(), SparseMlpConfig.B16.GetCost());
        Assert.AreEqual(10_309_260 - 4_876_612, two.Parameters - one.Parameters);
        const long spatialExpert = (392 * 768) + 768 + (768 * 392) + 392, channelExpert = (384 * 1536) + 1536 + (1536 * 384) + 384;
        Assert.AreEqual(2 * ((7 * spatialExpert) + (2 * channelExpert)), two.Parameters - two.ActiveParameters);

        // Multiply-adds: re-represent 349M, spatial mixture 232M, channel mixture 925M, in place of 1,040M.
        const long reRepresent = 2 * ((196L * 392 * 768) + (392L * 768 * 384)),
            spatial = 384L * ((2 * 392 * 768) + (392 * 8)),
            channel = 392L * ((2 * 2 * 384 * 1536) + (384 * 4));
        Assert.AreEqual(reRepresent + spatial + channel - (196L * 768 * 2 * (384 + 3072)), two.ForwardMacs - one.ForwardMacs);
    }

    [TestMethod]
    public void SparseMlpLTakesTwoFifthsOfMixerLsMultiplyAdds() =>
        Assert.AreEqual(0.39, (double)SparseMlpConfig.L16.GetCost().ForwardMacs / MlpMixerConfig.L16.GetCost().ForwardMacs, 0.005);

    [TestMethod]
    public void EveryPresetsFormulaEqualsItsTensors()
    {
        foreach (var preset in ImageClassifierPresets.All)
            Assert.AreEqual(Distinct(preset.Config), preset.Config.GetCost().Parameters, preset.Name);
    }

    [TestMethod]
    public void AnExpandedFeedForwardCountsByHand()
    {
        // 13.4G of patches, attention and head are in all three: experts cost K·2·L·D·F each block, in multiply-adds.
        var config = WideNetConfig.Base;
        var dense = config with { Experts = 0, FeedForwardWidth = 4096 };
        var (sparseCost, denseCost) = (config.GetCost(), dense.GetCost());
        Assert.AreEqual((12L * 2 * 197 * 768 * 4096) + (12L * 197 * 768 * 4), sparseCost.ForwardMacs - denseCost.ForwardMacs);
        Assert.AreEqual(2L * ((768 * 4096) + 4096 + (4096 * 768) + 768), sparseCost.Parameters - sparseCost.ActiveParameters);
        Assert.AreEqual(denseCost.Parameters, denseCost.ActiveParameters);
    }

    [TestMethod]
    public void ARouterCountsAsOftenAsItRuns()
    {
        var eachBlock = WideNetConfig.Base.GetCost().ForwardMacs;
        const long router = 197 * 768 * 4;
        Assert.AreEqual(9 * router, eachBlock - (WideNetConfig.Base with { RoutingGroups = 3 }).GetCost().ForwardMacs);
        Assert.AreEqual(0, eachBlock - (WideNetConfig.Base with { RoutingGroups = 12 }).GetCost().ForwardMacs);
        Assert.AreEqual(
            0, eachBlock - (WideNetConfig.Base with { RoutingGroups = 3, RoutingReuse = RoutingReuse.Experts }).GetCost().ForwardMacs);
    }

    [TestMethod]
    [DataRow("vit-b16", 17.6)]
    [DataRow("widenet-b16", 36.2)]
    [DataRow("vit-l16", 61.6)]
    [DataRow("widenet-l16", 101.2)]
    [DataRow("widenet-l16-12-blocks", 50.7)]
    [DataRow("vit-l16-shared-ffn-8192", 101.2)]
    [DataRow("widenet-h16", 210.0)]
    [DataRow("mixer-s16", 3.78)]
    [DataRow("mixer-b16", 12.60)]
    [DataRow("mixer-l16", 44.57)]
    [DataRow("sparse-mlp-s16", 5.48)]
    [DataRow("sparse-mlp-s16-patches", 5.07)]
    [DataRow("sparse-mlp-b16", 13.53)]
    [DataRow("sparse-mlp-l16", 17.49)]
    public void ForwardMultiplyAddsInBillions(string name, double billions) =>
        Assert.AreEqual(
            billions, ImageClassifierPresets.All.Single(preset => preset.Name == name).Config.GetCost().ForwardMacs / 1e9, 0.05);

    private static long Distinct(ImageClassifierConfig config)
    {
        using var model = config.Build(META);
        return model.parameters().DistinctBy(tensor => tensor.Handle).Sum(tensor => tensor.numel());
    }
}
