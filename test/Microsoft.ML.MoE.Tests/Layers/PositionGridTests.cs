using Microsoft.ML.MoE.Layers;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

/// <summary>Position embeddings on another grid of patches, against bicubic interpolation written out.</summary>
[TestClass]
public sealed class PositionGridTests
{
    private const int Width = 3;

    [TestMethod]
    [DataRow(2, 2, 4, 4)]
    [DataRow(3, 4, 5, 7)]
    [DataRow(7, 7, 14, 14)]
    [DataRow(5, 4, 3, 2)]
    [DataRow(1, 3, 2, 3)]
    public void EveryEmbedding_IsTheCubicOfItsNeighbours(int rows, int columns, int newRows, int newColumns)
    {
        using var scope = NewDisposeScope();
        var positions_1LD = randn([1, rows * columns, Width], generator: new Generator(1));
        var resized_1LD = PositionGrid.Resize(positions_1LD, (rows, columns), (newRows, newColumns));

        var values_LD = positions_1LD.data<float>().ToArray();
        var expected_LD = new float[newRows * newColumns * Width];
        for (var row = 0; row < newRows; row++)
        {
            for (var column = 0; column < newColumns; column++)
            {
                for (var d = 0; d < Width; d++)
                    expected_LD[(((row * newColumns) + column) * Width) + d] = (float)Cubic(Place(row, rows, newRows), r =>
                        Cubic(Place(column, columns, newColumns), c =>
                            values_LD[(((Inside(r, rows) * columns) + Inside(c, columns)) * Width) + d]));
            }
        }
        TensorAssert.AreClose(tensor(expected_LD, [1, newRows * newColumns, Width]), resized_1LD, 1e-5);
    }

    [TestMethod]
    public void TwoPatchesBecomeFour_ByHand()
    {
        // The new centres lie at -0.25, 0.25, 0.75 and 1.25 between the old ones at 0 and 1. With a = -0.75 and values (0, 1), repeated
        // beyond the border, the share of the second value is the sum of the weights of all neighbours from 1 on.
        using var scope = NewDisposeScope();
        var resized = PositionGrid.Resize(tensor(new float[] { 0, 1 }, [1, 2, 1]), (1, 2), (1, 4)).flatten();
        // Only the outer neighbour at 1: distance 1.25; the next one would be at 2.25, beyond reach.
        var first = Weight(1.25) + Weight(1.75 + 0.5);
        TensorAssert.AreClose(
            tensor(
                new[] { (float)first, (float)(Weight(0.75) + Weight(1.75)), (float)(1 - Weight(0.75) - Weight(1.75)), (float)(1 - first) }),
            resized,
            1e-6);
        Assert.AreEqual(-0.1054688, first, 1e-6, "w(1.25) = -0.75 (1.25³ - 5·1.25² + 8·1.25 - 4)");
    }

    [TestMethod]
    public void WhatStandsBeforeThePatches_KeepsItsEmbedding_AndTheSameGridEverything()
    {
        using var scope = NewDisposeScope();
        var positions_1LD = randn([1, 1 + 4, Width], generator: new Generator(2));
        var resized_1LD = PositionGrid.Resize(positions_1LD, (2, 2), (3, 3));
        CollectionAssert.AreEqual(new long[] { 1, 1 + 9, Width }, resized_1LD.shape);
        TensorAssert.AreClose(positions_1LD[0, 0], resized_1LD[0, 0], 0);
        TensorAssert.AreClose(PositionGrid.Resize(positions_1LD.narrow(1, 1, 4), (2, 2), (3, 3)), resized_1LD.narrow(1, 1, 9), 0);
        TensorAssert.AreClose(positions_1LD, PositionGrid.Resize(positions_1LD, (2, 2), (2, 2)), 0);
    }

    [TestMethod]
    public void AConstant_StaysOne()
    {
        using var scope = NewDisposeScope();
        TensorAssert.AreClose(full([1, 30, Width], 0.7f), PositionGrid.Resize(full([1, 12, Width], 0.7f), (3, 4), (5, 6)), 1e-6);
    }

    // Where the centre of a new patch lies among the centres of the old ones.
    private static double Place(int index, int count, int newCount) => ((index + 0.5) * count / newCount) - 0.5;

    private static int Inside(int index, int count) => Math.Clamp(index, 0, count - 1);

    private static double Cubic(double place, Func<int, double> value)
    {
        var left = (int)Math.Floor(place);
        return Enumerable.Range(left - 1, 4).Sum(index => Weight(place - index) * value(index));
    }

    // Keys' cubic convolution with a = -0.75 (IEEE Trans. ASSP 29(6), 1981).
    private static double Weight(double distance)
    {
        const double A = -0.75;
        var x = Math.Abs(distance);
        return x <= 1 ? ((A + 2) * x * x * x) - ((A + 3) * x * x) + 1 : x < 2 ? A * ((x * x * x) - (5 * x * x) + (8 * x) - 4) : 0;
    }
}
