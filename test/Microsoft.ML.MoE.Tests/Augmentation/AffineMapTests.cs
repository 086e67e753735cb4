using Microsoft.ML.MoE.Augmentation;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class AffineMapTests
{
    [TestMethod]
    public void WholePixelsMoveExactlyAndTheFillComesIn()
    {
        using var scope = NewDisposeScope();
        var image = tensor(new[] { .1, .2, .3, .4, .5, .6 }, [1, 1, 2, 3]);
        TensorAssert.AreClose(tensor(new[] { .2, .3, .7, .5, .6, .7 }, [1, 1, 2, 3]), Warp(image, AffineMap.Translation(1, 0)), 1e-9);
        TensorAssert.AreClose(tensor(new[] { .7, .7, .1, .7, .7, .4 }, [1, 1, 2, 3]), Warp(image, AffineMap.Translation(-2, 0)), 1e-9);
        TensorAssert.AreClose(tensor(new[] { .4, .5, .6, .7, .7, .7 }, [1, 1, 2, 3]), Warp(image, AffineMap.Translation(0, 1)), 1e-9);
        TensorAssert.AreClose(tensor(new[] { .7, .7, .7, .7, .7, .7 }, [1, 1, 2, 3]), Warp(image, AffineMap.Translation(9, 9)), 1e-9);
    }

    [TestMethod]
    public void AQuarterTurnIsCounterclockwise()
    {
        using var scope = NewDisposeScope();
        var image = rand(1, 2, 5, 5).to_type(float64);
        TensorAssert.AreClose(rot90(image, 1, (2, 3)), Warp(image, AffineMap.Rotation(90)), 1e-9);
        TensorAssert.AreClose(image, Warp(image, AffineMap.Rotation(0)), 1e-9);
    }

    [TestMethod]
    public void RowsAndColumnsShearFromTheUpperLeftCorner()
    {
        using var scope = NewDisposeScope();
        var columns = arange(8, float64).div(10).view(1, 1, 1, 8).expand(1, 1, 4, 8).contiguous();   // each pixel is its column / 10

        // Row y moves left by (y + ½)·0.2, and its pixels grow by a tenth of that.
        var sheared = Warp(columns, AffineMap.ShearX(0.2, 4));
        for (var y = 0; y < 4; y++)
            TensorAssert.AreClose(columns[0, 0, y, ..7] + ((y + 0.5) * 0.02), sheared[0, 0, y, ..7], 1e-9);
        TensorAssert.AreClose(
            Warp(columns, AffineMap.ShearX(0.2, 4)),
            Warp(columns.transpose(2, 3).contiguous(), AffineMap.ShearY(0.2, 4)).transpose(2, 3),
            1e-9);
    }

    [TestMethod]
    public void EveryMapEqualsALoopOverPixels()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var images = rand([4, 2, 6, 9], float64, generator: generator);
        AffineMap[] maps =
        [
            AffineMap.Rotation(23),
            AffineMap.ShearX(-0.3, 6),
            AffineMap.ShearY(0.25, 9),
            new(0.9, 0.2, -1.3, -0.1, 1.1, 0.6),
        ];
        var warped = AffineMap.Warp(images, maps, tensor(new[] { 0.3, 0.8 }, [1, 2, 1, 1]));
        double[] fill = [0.3, 0.8];
        for (var n = 0; n < 4; n++)
        {
            for (var c = 0; c < 2; c++)
            {
                for (var row = 0; row < 6; row++)
                {
                    for (var column = 0; column < 9; column++)
                    {
                        var (x, y) = (column + 0.5 - 4.5, row + 0.5 - 3);
                        var oldColumn = (maps[n].Xx * x) + (maps[n].Xy * y) + maps[n].X1 + 4.5 - 0.5;
                        var oldRow = (maps[n].Yx * x) + (maps[n].Yy * y) + maps[n].Y1 + 3 - 0.5;
                        var (left, top) = ((int)Math.Floor(oldColumn), (int)Math.Floor(oldRow));
                        var (right, bottom) = (oldColumn - left, oldRow - top);
                        double At(int r, int k) => r is < 0 or > 5 || k is < 0 or > 8 ? fill[c] : images[n, c, r, k].item<double>();
                        var expected =
                            ((1 - bottom) * (((1 - right) * At(top, left)) + (right * At(top, left + 1))))
                            + (bottom * (((1 - right) * At(top + 1, left)) + (right * At(top + 1, left + 1))));
                        Assert.AreEqual(expected, warped[n, c, row, column].item<double>(), 1e-6);
                    }
                }
            }
        }
    }

    private static Tensor Warp(Tensor image, AffineMap map) => AffineMap.Warp(image, [map], tensor(0.7).view(1, 1, 1, 1));
}
