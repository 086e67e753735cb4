using Microsoft.VisualStudio.TestTools.UnitTesting;
using Robustness.Fit;

namespace Estimators.Tests.HeldNumbers;

/// <summary>The short form of <c>test/Robustness -- fit</c>.</summary>
[TestClass]
public class FitUnderPressureTests
{
    [TestMethod]
    public void NoTrainingFailsAndAllOfAKindAgreeWhileTheCollectorNeverRests()
    {
        const int Rounds = 3;
        using var pressure = new AllocationPressure(1);
        foreach (var report in FitReport.ByName(Enumerable.Range(0, Rounds).SelectMany(_ => FitStress.Round())))
        {
            Assert.AreEqual("", string.Join(", ", report.Failures.Keys), report.Name);
            Assert.HasCount(1, report.Digests, report.Name);
            Assert.AreEqual(Rounds, report.Digests.Values.Single(), report.Name);
        }
    }
}
