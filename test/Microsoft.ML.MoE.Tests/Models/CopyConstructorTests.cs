using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>Records that F# and VB, which have no <c>with</c>, change by a copy constructor and an initializer.</summary>
[TestClass]
public sealed class CopyConstructorTests
{
    [TestMethod]
    public void ACopyHasAllThatTheOriginalHas()
    {
        Assert.AreEqual(WideNetConfig.Huge, new WideNetConfig(WideNetConfig.Huge));
        Assert.AreEqual(VisionTransformerConfig.MoeTiny, new VisionTransformerConfig(VisionTransformerConfig.MoeTiny));
        Assert.AreEqual(SparseMlpConfig.Tiny, new SparseMlpConfig(SparseMlpConfig.Tiny));
        Assert.AreEqual(MlpMixerConfig.Tiny, new MlpMixerConfig(MlpMixerConfig.Tiny));
        Assert.AreEqual(LanguageModelConfig.Nano, new LanguageModelConfig(LanguageModelConfig.Nano));
        Assert.AreEqual(GeneralistConfig.Small, new GeneralistConfig(GeneralistConfig.Small));
        var stem = new ConvolutionalStem { FirstChannels = 3, Halving = StemHalving.Stride };
        Assert.AreEqual(stem, new ConvolutionalStem(stem));
        var layer = new PeerOptions { Experts = 64, Gated = true, Tables = new ExpertTableOptions { WeightDecay = 0.5 } };
        Assert.AreEqual(layer, new PeerOptions(layer));
        Assert.AreEqual(layer.Tables, new ExpertTableOptions(layer.Tables));
        Assert.AreEqual(GeneralistConfig.Nano.Block, new ConditionalBlockOptions(GeneralistConfig.Nano.Block));
        var mixture = new MixtureSlotOptions { BalanceLossWeight = 0.5 };
        Assert.AreEqual(mixture, new MixtureSlotOptions(mixture));
    }

    [TestMethod]
    public void AnInitializerChangesTheCopyAlone()
    {
        Assert.AreEqual(
            WideNetConfig.Small with { Blocks = 3, Width = 48 }, new WideNetConfig(WideNetConfig.Small) { Blocks = 3, Width = 48 });
        Assert.AreEqual(4, WideNetConfig.Small.Blocks);
    }
}
