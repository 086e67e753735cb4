using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Models;

[TestClass]
public sealed class BlockPositionsTests
{
    [TestMethod]
    public void EachKindHasItsBlocks()
    {
        CollectionAssert.AreEqual(new[] { 3, 4 }, Blocks(BlockPositions.Last(2)));
        CollectionAssert.AreEqual(new[] { 0, 1 }, Blocks(BlockPositions.First(2)));
        CollectionAssert.AreEqual(new[] { 0, 2, 4 }, Blocks(BlockPositions.At(0, 2, 4)));
        CollectionAssert.AreEqual(Array.Empty<int>(), Blocks(BlockPositions.None));
        Assert.AreEqual(3, BlockPositions.At(0, 2, 4).Count);

        static int[] Blocks(BlockPositions positions) => [.. Enumerable.Range(0, 5).Where(block => positions.Contains(block, 5))];
    }

    [TestMethod]
    public void AModelMustHaveThemAll()
    {
        Assert.IsTrue(BlockPositions.Last(5).Fit(5));
        Assert.IsFalse(BlockPositions.First(6).Fit(5));
        Assert.IsTrue(BlockPositions.At(4).Fit(5));
        Assert.IsFalse(BlockPositions.At(1, 5).Fit(5));
        Assert.IsTrue(BlockPositions.At().Fit(1));
    }

    [TestMethod]
    [DataRow("last 2")]
    [DataRow("first 0")]
    [DataRow("0, 3, 5")]
    [DataRow("7")]
    [DataRow("")]
    public void TextIsReadBack(string text) => Assert.AreEqual(text, BlockPositions.Parse(text).ToString());

    [TestMethod]
    [DataRow("last")]
    [DataRow("last 2 3")]
    [DataRow("middle 2")]
    [DataRow("3, 3")]
    [DataRow("4, 2")]
    [DataRow("-1")]
    [DataRow("99999999999")]
    public void OtherTextIsRefused(string text) =>
        Assert.Contains($"'{text}'", Assert.ThrowsExactly<FormatException>(() => BlockPositions.Parse(text)).Message);

    [TestMethod]
    public void EqualityIsByValue()
    {
        Assert.AreEqual(BlockPositions.At(1, 2), BlockPositions.At(1, 2));
        Assert.AreEqual(BlockPositions.At(1, 2).GetHashCode(), BlockPositions.At(1, 2).GetHashCode());
        Assert.AreNotEqual(BlockPositions.At(1, 2), BlockPositions.At(0, 2));
        Assert.AreNotEqual(BlockPositions.Last(2), BlockPositions.First(2));
        Assert.IsFalse(BlockPositions.Last(2).Equals(null));
    }

    [TestMethod]
    public void BadPositionsAreNamed()
    {
        Assert.Contains("The number of last blocks is -1", Assert.ThrowsExactly<ArgumentException>(() => BlockPositions.Last(-1)).Message);
        Assert.Contains("has 2 after 2", Assert.ThrowsExactly<ArgumentException>(() => BlockPositions.At(2, 2)).Message);
    }
}
