using Microsoft.ML.MoE.Kernels.ProductKeys;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Kernels.ProductKeys;

[TestClass]
public sealed unsafe class LargestScoresTests
{
    [TestMethod]
    [DataRow(1, 1)]
    [DataRow(5, 3)]
    [DataRow(16, 16)]
    [DataRow(33, 2)]
    [DataRow(64, 8)]
    [DataRow(40, 20)]
    [DataRow(96, 31)]
    [DataRow(128, 15)]
    [DataRow(128, 16)]
    [DataRow(128, 32)]
    [DataRow(1000, 16)]
    [DataRow(1024, 17)]
    [DataRow(1024, 32)]
    [DataRow(1024, 33)]
    [DataRow(300, 300)]
    public void EqualsSorting(int count, int k)
    {
        var random = new Random(count + k);
        for (var trial = 0; trial < 20; trial++)
            Compare([.. Enumerable.Range(0, count).Select(_ => (float)(random.NextDouble() - 0.5))], k);
        for (var trial = 0; trial < 20; trial++)
            Compare([.. Enumerable.Range(0, count).Select(_ => (float)random.Next(5))], k);   // many are equal
        Compare([.. Enumerable.Range(0, count).Select(i => (float)i)], k);
        Compare([.. Enumerable.Range(0, count).Select(i => (float)-i)], k);
        Compare(new float[count], k);
        Compare(
            [
                .. Enumerable
                    .Range(0, count)
                    .Select(_ =>
                        random.Next(3) switch
                        {
                            0 => float.NegativeInfinity,
                            1 => float.PositiveInfinity,
                            _ => 1,
                        }
                    ),
            ],
            k);
        Compare([.. Enumerable.Range(0, count).Select(_ => float.NegativeInfinity)], k);
        Compare([.. Enumerable.Range(0, count).Select(_ => random.Next(4) == 0 ? float.NaN : (float)random.NextDouble())], k);
    }

    private static void Compare(float[] numbers, int k)
    {
        // Stable, and a NaN before every number.
        var expected = Enumerable
            .Range(0, numbers.Length)
            .OrderByDescending(i => float.IsNaN(numbers[i]))
            .ThenByDescending(i => float.IsNaN(numbers[i]) ? 0 : numbers[i])
            .Take(k)
            .ToArray();
        var scores = new float[LargestScores.RoundUp(numbers.Length)];
        numbers.CopyTo(scores, 0);
        var (values, places, scratch) = (new float[k + 1], new int[k + 1], new float[LargestScores.ScratchFloats(numbers.Length)]);
        fixed (float* s = scores, v = values, r = scratch)
        fixed (int* p = places)
            LargestScores.Select(s, numbers.Length, k, v, p, r);
        CollectionAssert.AreEqual(expected, places[..k]);
        CollectionAssert.AreEqual(expected.Select(i => numbers[i]).ToArray(), values[..k]);
    }
}
