using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

[TestClass]
public sealed class NaturalOrderTests
{
    [TestMethod]
    [DataRow("frame1", "frame2", "frame10")]
    [DataRow("frame01", "frame1", "frame002", "frame9", "frame0010")]
    [DataRow("1-2", "1-10", "2-1", "10-1")]
    [DataRow("a99999999999999999999", "a100000000000000000000")]
    [DataRow("Frame2", "frame1", "frame_1")]
    [DataRow("", "0", "00", "1", "a")]
    [DataRow("take 2, 9.png", "take 2, 11.png", "take 12, 1.png")]
    public void NumbersCountByTheirValue_AllElseByItsCharacters(params string[] names)
    {
        CollectionAssert.AreEqual(names, names.Reverse().InNaturalOrder().ToArray());
        CollectionAssert.AreEqual(names, names.InNaturalOrder().ToArray());
    }
}
