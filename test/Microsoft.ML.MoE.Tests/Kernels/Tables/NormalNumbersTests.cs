using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Tables;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Kernels.Tables;

[TestClass]
public sealed unsafe class NormalNumbersTests
{
    [TestMethod]
    public void TheirMomentsAreThoseOfTheNormalDistribution()
    {
        var numbers = Fill(1_000_003, 3, threads: 2);
        Assert.AreEqual(0, numbers.Average(x => (double)x), 0.01, "mean; its deviation is 0.002");
        Assert.AreEqual(4, numbers.Average(x => (double)x * x), 0.03, "variance");
        Assert.AreEqual(0, numbers.Average(x => (double)x * x * x), 0.15, "third moment");
        Assert.AreEqual(3 * 16, numbers.Average(x => Math.Pow(x, 4)), 1, "fourth moment");
        Assert.AreEqual(0.6827, numbers.Count(x => MathF.Abs(x) < 2) / 1_000_003.0, 0.003, "within one deviation");
        Assert.AreEqual(0, numbers.Zip(numbers.Skip(1), (a, b) => (double)a * b).Average(), 0.02, "neighbours are independent");
        Assert.AreEqual(
            0,
            numbers.Zip(numbers.Skip(16), (a, b) => (double)a * b).Average(),
            0.02,
            "so are those that come from the same two uniform numbers");
        Assert.IsGreaterThan(999_000 * 0.95, numbers.Distinct().Count());
    }

    [TestMethod]
    public void TheyAreAFunctionOfSeedAndPlace()
    {
        var numbers = Fill(40_000, 5, threads: 1);
        CollectionAssert.AreEqual(numbers, Fill(40_000, 5, threads: 3));
        CollectionAssert.AreEqual(numbers[..20_001], Fill(20_001, 5, threads: 2));
        Assert.IsGreaterThan(39_900, numbers.Zip(Fill(40_000, 6, threads: 1)).Count(pair => pair.First != pair.Second));
    }

    private static float[] Fill(int count, long seed, int threads)
    {
        var numbers = new float[count];
        fixed (float* p = numbers)
        {
            var first = (byte*)p;
            WorkTeam.Run(threads, team => NormalNumbers<Float32Rows>.Fill(team, first, count, 2, seed));
        }

        return numbers;
    }
}
