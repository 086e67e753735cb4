using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Training;

[TestClass]
public sealed class WarmupScheduleTests
{
    [TestMethod]
    [DataRow(0, 0.2)]     // 1 · 1/5
    [DataRow(3, 0.8)]
    [DataRow(4, 1.0)]     // the peak
    [DataRow(6, 0.868198051533946)]    // 0.1 + 0.9 (1 + cos 45°) / 2
    [DataRow(8, 0.55)]    // half-way
    [DataRow(10, 0.231801948466054)]   // 0.1 + 0.9 (1 + cos 135°) / 2
    [DataRow(12, 0.1)]
    [DataRow(1000, 0.1)]
    public void ClimbsToThePeakAndFallsToTheFinalRate(int step, double rate)
    {
        Assert.AreEqual(rate, new WarmupSchedule(1, 0.1, warmupSteps: 4, totalSteps: 12).RateAt(step), 1e-12);
    }

    [TestMethod]
    [DataRow(LearningRateDecay.Linear, 3, 0.8)]
    [DataRow(LearningRateDecay.Linear, 4, 1.0)]
    [DataRow(LearningRateDecay.Linear, 6, 0.775)]   // 0.1 + 0.9 · 3/4
    [DataRow(LearningRateDecay.Linear, 11, 0.2125)] // 0.1 + 0.9 · 1/8
    [DataRow(LearningRateDecay.Linear, 12, 0.1)]
    [DataRow(LearningRateDecay.Linear, 1000, 0.1)]
    [DataRow(LearningRateDecay.Constant, 3, 0.8)]
    [DataRow(LearningRateDecay.Constant, 4, 1.0)]
    [DataRow(LearningRateDecay.Constant, 11, 1.0)]
    [DataRow(LearningRateDecay.Constant, 1000, 1.0)]
    public void TheDecayIsWhatItsNameSays(LearningRateDecay decay, int step, double rate)
    {
        Assert.AreEqual(rate, new WarmupSchedule(1, 0.1, warmupSteps: 4, totalSteps: 12, decay).RateAt(step), 1e-12);
    }

    [TestMethod]
    public void WithoutWarmupTheFirstStepHasThePeakRate()
    {
        Assert.AreEqual(3e-4, new WarmupSchedule(3e-4, 0, 0, 10).RateAt(0), 1e-15);
    }

    [TestMethod]
    public void AHighestRateBelowTheLastOneIsNotExceeded()
    {
        var schedule = new TrainingOptions { LearningRate = 5e-6, WarmupSteps = 2 }
            .Settled()
            .CreateSchedule(10);   // the last rate is 1e-5 by default
        Assert.AreEqual(5e-6 * 2 / 3, schedule.RateAt(1), 1e-18);
        for (var step = 2; step < 12; step++)
            Assert.AreEqual(5e-6, schedule.RateAt(step), 1e-18);
    }

    [TestMethod]
    public void WarmupAloneNeverReachesTheEnd()
    {
        var schedule = new WarmupSchedule(1, 0.5, 4, 4);

        Assert.AreEqual(0.8, schedule.RateAt(3), 1e-12);
        Assert.AreEqual(0.5, schedule.RateAt(4), 1e-12);
    }

    [TestMethod]
    public void ValuesOutOfRangeAreNamed()
    {
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => new WarmupSchedule(-1, 0, 0, 10)).Message, "peakRate is -1");
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => new WarmupSchedule(1, 0, 11, 10)).Message, "warmupSteps is 11");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new WarmupSchedule(1, double.NaN, 0, 10)).Message, "finalRate is NaN");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new WarmupSchedule(1, 0, 0, 10, (LearningRateDecay)7)).Message, "decay is 7");
    }
}
