using System.Runtime.InteropServices;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

/// <summary>What is black and what is white, and how normalised images relate to it.</summary>
[TestClass]
public sealed class PixelRangeTests
{
    [TestMethod]
    public void BytesGoFrom0To255_WhateverTheDataHave()
    {
        var statistics = new PixelStatistics(
            new ImageColumn("F", new ImageColumnType(ImageColumnKind.Bytes, [2, 1, 2]), new ImageShape(2, 1, 2), false, default));
        statistics.Add([10, 20, 30, 40]);
        Assert.AreEqual(new PixelRange(0, 255), statistics.ToRange());
    }

    [TestMethod]
    public void OtherNumbersGoFromTheSmallestToTheGreatestOfAllImagesAndChannels()
    {
        var statistics = new PixelStatistics(
            new ImageColumn("F", new ImageColumnType(ImageColumnKind.Floats, [2, 1, 2]), new ImageShape(2, 1, 2), false, default));
        foreach (float[] image in new float[][] { [0.5f, -1, 0.25f, 0], [0, 0, 2, 1] })
            statistics.Add(MemoryMarshal.AsBytes(image.AsSpan()));
        Assert.AreEqual(new PixelRange(-1, 2), statistics.ToRange());
    }

    [TestMethod]
    public void TheScaleIsTheNormalisationInPixelsFrom0To1()
    {
        var normalization = new PixelNormalization([10, 127.5f], [3, 64]);
        var scale = new PixelRange(0, 255).ToScale(normalization);
        CollectionAssert.AreEqual(new[] { 10 / 255f, 0.5f }, scale.Mean.ToArray());
        CollectionAssert.AreEqual(new[] { 3 / 255f, 64 / 255f }, scale.Deviation.ToArray());

        var signed = new PixelRange(-1, 1).ToScale(new([0.5f], [0.25f]));
        CollectionAssert.AreEqual(new[] { 0.75f, 0.125f }, signed.Mean.Concat(signed.Deviation).ToArray());

        var flat = new PixelRange(5, 5).ToScale(new([5], [1]));   // one number only
        CollectionAssert.AreEqual(new[] { 0f, 1f }, flat.Mean.Concat(flat.Deviation).ToArray());
    }
}
