using Microsoft.VisualStudio.TestTools.UnitTesting;
using Samples;
using Shakespeare;
using Shakespeare.Comparison;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class ShakespeareComparisonTests
{
    [TestMethod]
    public void TheModels_CostWhatTheDenseOneCosts()
    {
        var dense = VariantCatalog.All[0].Config;
        Assert.IsNull(dense.SparseLayer);
        foreach (var variant in VariantCatalog.All.Skip(1))
        {
            var config = variant.Config;
            Assert.AreEqual((64, 128, 4), (config.ContextLength, config.Width, config.Blocks));
            Assert.IsLessThanOrEqualTo(dense.GetCost().ForwardMacs, config.GetCost().ForwardMacs, variant.Name);
            Assert.IsGreaterThan(
                dense.GetCost().ForwardMacs,
                (config with { FeedForwardWidth = config.FeedForwardWidth + 1 }).GetCost().ForwardMacs,
                variant.Name);
        }

        // PEER: queries 4 · 64 · 128, keys 4 · 64 · 256, experts 64 · 2 · 128 = 114,688. Three dense layers of 2 · 128 · F get the rest of
        // 4 · 131,072: F = 533. With eight heads of 32: 8 · 64 · 128 + 8 · 64 · 256 + 256 · 2 · 128 = 262,144, F = 341.
        CollectionAssert.AreEqual(
            new int?[] { 533, 341 },
            VariantCatalog
                .All.Where(variant => variant.Name.StartsWith("PEER", StringComparison.Ordinal))
                .Select(variant => variant.Config.FeedForwardWidth)
                .ToArray());
    }

    [TestMethod]
    public void WhatIsTuned_LeavesSomethingForTheDenseLayers()
    {
        foreach (var variant in VariantCatalog.WithOtherOptions)
        {
            variant.Config.Validate();
            Assert.IsLessThanOrEqualTo(
                VariantCatalog.All[0].Config.GetCost().ForwardMacs, variant.Config.GetCost().ForwardMacs, variant.Name);
        }
        Assert.AreEqual(
            VariantCatalog.WithOtherOptions.Count,
            VariantCatalog.WithOtherOptions.Select(variant => variant.Name).Distinct().Count(),
            "each has a name of its own");
        Assert.AreEqual(
            VariantCatalog.WithOtherOptions.Count,
            VariantCatalog.WithOtherOptions.Select(variant => (variant.Config, variant.LearningRate)).Distinct().Count(),
            "none is trained twice");
    }

    [TestMethod]
    public void ATextIsParted_AtNineTenths()
    {
        var (first, last) = new ShakespeareText { Text = "To be, or not to be." }.Split();
        Assert.AreEqual(("To be, or not to b", "e."), (first.Text, last.Text));
    }

    [TestMethod]
    public void ASpread_IsTheMeanAndTheSampleDeviation()
    {
        Assert.AreEqual("2.00 ± 1.00", Spread.Of([1, 2, 3], "F2"));
        Assert.AreEqual("-0.50 ± 0.71", Spread.Of([-1, 0], "+0.00;-0.00"));
        Assert.AreEqual("4", Spread.Of([4], "N0"));
    }
}
