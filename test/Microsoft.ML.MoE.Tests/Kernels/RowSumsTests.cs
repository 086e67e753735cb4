using Microsoft.ML.MoE.Kernels;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Kernels;

[TestClass]
public sealed unsafe class RowSumsTests
{
    private const int Rows = 7;
    private const int Count = 10;

    [TestMethod]
    [DataRow(1)]
    [DataRow(16)]
    [DataRow(45)]
    [DataRow(128)]
    [DataRow(255)]
    public void MultiplesAddUp(int columns)
    {
        var (rows, ids, factors, vector) = Make(columns);
        var expected = vector.ToArray();
        for (var i = 0; i < Count; i++)
        {
            for (var column = 0; column < columns; column++)
                expected[column] += factors[i] * rows[(ids[i] * columns) + column];
        }

        fixed (float* r = rows, f = factors, v = vector)
        fixed (int* n = ids)
            RowSums.AddMultiples(r, columns, columns, n, f, Count, v);
        AreClose(expected, vector);
    }

    [TestMethod]
    public void PartsOfRowsAddUp()
    {
        const int Columns = 48, Stride = 70, Start = 5;
        var (rows, ids, factors, vector) = Make(Stride);
        var expected = vector[..Columns];
        for (var i = 0; i < Count; i++)
        {
            for (var column = 0; column < Columns; column++)
                expected[column] += factors[i] * rows[(ids[i] * Stride) + Start + column];
        }

        fixed (float* r = rows, f = factors, v = vector)
        fixed (int* n = ids)
            RowSums.AddMultiples(r + Start, Columns, Stride, n, f, Count, v);
        AreClose(expected, vector[..Columns]);
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(16)]
    [DataRow(45)]
    [DataRow(128)]
    [DataRow(255)]
    public void AVectorIsAddedToEveryRow(int columns)
    {
        var (rows, ids, factors, vector) = Make(columns);
        var expected = rows.ToArray();
        for (var i = 0; i < Count; i++)
        {
            for (var column = 0; column < columns; column++)
                expected[(ids[i] * columns) + column] += factors[i] * vector[column];
        }

        fixed (float* r = rows, f = factors, v = vector)
        fixed (int* n = ids)
            RowSums.AddToRows(r, columns, n, f, Count, v);
        AreClose(expected, rows);
    }

    // Some rows come more than once.
    private static (float[] Rows, int[] Ids, float[] Factors, float[] Vector) Make(int columns)
    {
        var random = new Random(columns);
        float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)(random.NextDouble() - 0.5))];
        return (Numbers(Rows * columns), [.. Enumerable.Range(0, Count).Select(_ => random.Next(Rows))], Numbers(Count), Numbers(columns));
    }

    private static void AreClose(float[] expected, float[] actual)
    {
        for (var i = 0; i < expected.Length; i++)
            Assert.AreEqual(expected[i], actual[i], 1e-5f, $"number {i}");
    }
}
