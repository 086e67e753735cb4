using Microsoft.VisualStudio.TestTools.UnitTesting;
using Robustness.Fit;
using TorchSharp;

namespace Estimators.Tests.HeldNumbers;

/// <summary>The short form of <c>test/Robustness -- fit</c>.</summary>
[TestClass]
public class FitUnderPressureTests
{
    public static IEnumerable<object[]> Fits => TinyFit.All.Select(fit => new object[] { fit.Name });

    [TestMethod]
    [DynamicData(nameof(Fits))]
    public void EveryTensorThatATrainingMakesBelongsToADisposeScope(string name)
    {
        var made = DisposeScopeManager.Statistics.TensorStatistics;   // this thread's
        var (outside, inside) = (made.CreatedOutsideScopeCount, made.CreatedInScopeCount);
        _ = TinyFit.All.Single(fit => fit.Name == name).Run();
        Assert.AreNotEqual(inside, made.CreatedInScopeCount);
        Assert.AreEqual(
            outside, made.CreatedOutsideScopeCount, "a tensor that only a local variable holds may be collected while libtorch reads it");
    }

    [TestMethod]
    public void NoTrainingFailsAndAllOfAKindAgreeWhileTheCollectorNeverRests()
    {
        const int Rounds = 6;
        using var pressure = new AllocationPressure(1, collect: true);
        foreach (var report in FitReport.ByName(Enumerable.Range(0, Rounds).SelectMany(_ => FitStress.Round())))
        {
            Assert.AreEqual("", string.Join(", ", report.Failures.Keys), report.Name);
            Assert.HasCount(1, report.Digests, report.Name);
            Assert.AreEqual(Rounds, report.Digests.Values.Single(), report.Name);
        }
    }
}
