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
        Assert.AreEqual(preset.PublishedMillions, (int)(exact / 1_000_000));
    }

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
        Assert.AreEqual(0, eachBlock - (WideNetConfig.Base with { RoutingGroups = 3, RoutingReuse = RoutingReuse.Experts }).GetCost().ForwardMacs);
    }

    [TestMethod]
    [DataRow("vit-b16", 17.6)]
    [DataRow("widenet-b16", 36.2)]
    [DataRow("vit-l16", 61.6)]
    [DataRow("widenet-l16", 101.2)]
    [DataRow("widenet-l16-12-blocks", 50.7)]
    [DataRow("vit-l16-shared-ffn-8192", 101.2)]
    [DataRow("widenet-h16", 210.0)]
    public void ForwardMultiplyAddsInBillions(string name, double billions) =>
        Assert.AreEqual(billions, ImageClassifierPresets.All.Single(preset => preset.Name == name).Config.GetCost().ForwardMacs / 1e9, 0.05);

    private static long Distinct(ImageClassifierConfig config)
    {
        using var model = config.Build(META);
        return model.state_dict().Values.DistinctBy(tensor => tensor.Handle).Sum(tensor => tensor.numel());
    }
}
