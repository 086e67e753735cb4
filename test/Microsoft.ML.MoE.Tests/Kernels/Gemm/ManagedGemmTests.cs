using System.Runtime.Intrinsics.X86;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Gemm;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Kernels.Gemm;

[TestClass]
[RequiresAvx2]
public sealed unsafe class ManagedGemmTests
{
    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void EveryTileOfEveryMicroKernelOfTheProcessorEqualsAPlainSum(bool add)
    {
        Compare(MicroKernel256.Rows, MicroKernel256.Columns, MicroKernel256.Multiply);
        if (Avx512F.IsSupported)
            Compare(MicroKernel512.Rows, MicroKernel512.Columns, MicroKernel512.Multiply);

        void Compare(int maxRows, int maxColumns, Kernel multiply)
        {
            const int Depth = 130, Gap = 3;   // long enough for the sums to be fetched early
            var random = new Random(1);
            var left = Enumerable.Range(0, Depth * (maxRows + Gap)).Select(_ => random.NextSingle() - 0.5f).ToArray();
            var right = Enumerable.Range(0, Depth * (maxColumns + Gap)).Select(_ => random.NextSingle() - 0.5f).ToArray();
            var bias = Enumerable.Range(0, maxColumns).Select(_ => random.NextSingle()).ToArray();
            for (var rows = 1; rows <= maxRows; rows++)
            {
                foreach (var half in new[] { false, true })
                {
                    foreach (var byRow in new[] { false, true })
                    {
                        var columns = half ? maxColumns / 2 : maxColumns;
                        var (line, term) = byRow ? ((left.Length - Depth) / maxRows, 1) : (1, rows + Gap);
                        var tile = Enumerable.Repeat(2f, rows * (columns + Gap)).ToArray();
                        fixed (float* l = left, r = right, t = tile, b = bias)
                        {
                            multiply(
                                rows, half, Depth, new Lines(l, line, term), r, maxColumns + Gap,
                                new Tile(t, columns + Gap, add, add ? b : null));
                        }

                        for (var row = 0; row < rows; row++)
                        {
                            for (var column = 0; column < columns; column++)
                            {
                                var sum = Enumerable
                                    .Range(0, Depth)
                                    .Sum(k => (double)left[(row * line) + (k * term)] * right[(k * (maxColumns + Gap)) + column]);
                                Assert.AreEqual(
                                    sum + (add ? 2 + bias[column] : 0),
                                    tile[(row * (columns + Gap)) + column],
                                    1e-5,
                                    $"{rows} rows, half {half}, by row {byRow}: row {row}, column {column}");
                            }

                            Assert.AreEqual(2f, tile[(row * (columns + Gap)) + columns], "what lies between the rows is left alone");
                        }
                    }
                }
            }
        }
    }

    private delegate void Kernel(int rows, bool half, int depth, in Lines left, float* right, nint rightStep, in Tile tile);

    [TestMethod]
    [DataRow(1, 1, 1)]
    [DataRow(12, 32, 8)]        // one tile
    [DataRow(13, 33, 9)]        // and one more of everything
    [DataRow(24, 64, 16)]       // whole tiles, whose operands are transposed by squares
    [DataRow(24, 64, 41)]
    [DataRow(11, 31, 256)]
    [DataRow(25, 70, 300)]      // more terms than a block has
    [DataRow(130, 600, 20)]     // more columns than a block has, more rows than a task
    [DataRow(500, 40, 530)]
    [DataRow(1, 16, 40)]        // half a tile, in place
    [DataRow(20, 48, 40)]
    [DataRow(7, 200, 17)]
    [DataRow(1, 4, 128)]        // few rows
    [DataRow(2, 44, 1040)]
    [DataRow(17, 300, 144)]
    [DataRow(24, 8, 2064)]
    [DataRow(9, 21, 2100)]      // so many terms that they are divided among tasks
    [DataRow(64, 96, 5000)]
    public void EqualsTheProductHoweverTheOperandsLie(int rows, int columns, int depth)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var (left, right) = (randn(rows, depth), randn(depth, columns));
        var expected = left.to_type(float64).matmul(right.to_type(float64));
        foreach (var leftRows in new[] { true, false })
        {
            foreach (var rightRows in new[] { true, false })
            {
                var (a, b) = (leftRows ? left : left.t().contiguous(), rightRows ? right.t().contiguous() : right);
                foreach (var alone in new[] { false, true })
                {
                    var output = full([rows, columns], float.NaN);
                    var product = new MatrixProduct(
                        new Operand(Memory.Floats(a), (nint)a.shape[1], leftRows),
                        new Operand(Memory.Floats(b), (nint)b.shape[1], rightRows),
                        Memory.Floats(output),
                        columns,
                        rows,
                        columns,
                        depth);
                    if (alone)
                        ManagedGemm.RunAlone(product);
                    else
                        Run(2, product);
                    TensorAssert.AreClose(
                        expected,
                        output,
                        1e-6 * depth,
                        $"left by {(leftRows ? "rows" : "columns")}, right by {(rightRows ? "columns" : "rows")}, alone {alone}");
                }
            }
        }
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void GathersRowsAndAppliesGeluOnTheWay(bool termsAlongRow)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var source = randn(9, 50);
        var index = randint(0, 9, 29, dtype: int64);
        var right = randn(termsAlongRow ? 50 : 29, 40);
        var gathered = nn.functional.gelu(source.index_select(0, index).to_type(float64));
        var expected = (termsAlongRow ? gathered : gathered.t()).matmul(right.to_type(float64));
        var output = empty(expected.shape);
        Run(
            1,
            new MatrixProduct(
                new Operand(Memory.Floats(source), 50, termsAlongRow, (long*)Memory.Address(index), gelu: true),
                new Operand(Memory.Floats(right), 40, termsAlongRow: false),
                Memory.Floats(output),
                40,
                (int)output.shape[0],
                40,
                (int)right.shape[0]));
        TensorAssert.AreClose(expected, output, 2e-5, "product");
    }

    [TestMethod]
    [DataRow(40, 10, DisplayName = "one block")]
    [DataRow(75, 300, DisplayName = "several blocks, and a last tile that is not full")]
    public void AddsBiasMultipliesWithGelusDerivativeAndAddsToTheOutput(int columns, int depth)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var (left, right, bias) = (randn(30, depth), randn(depth, columns), randn(columns));
        var geluInput = randn(30, columns).requires_grad_(true);
        var before = randn(30, columns);
        nn.functional.gelu(geluInput).sum().backward();
        var expected = (before + left.matmul(right) + bias) * geluInput.grad!;
        var output = before.clone();
        Run(
            2,
            new MatrixProduct(
                new Operand(Memory.Floats(left), depth, termsAlongRow: true),
                new Operand(Memory.Floats(right), columns, termsAlongRow: false),
                Memory.Floats(output),
                columns,
                30,
                columns,
                depth)
            {
                Bias = Memory.Floats(bias),
                GeluInput = Memory.Floats(geluInput),
                Add = true,
            }
        );
        TensorAssert.AreClose(expected, output, 1e-6 * Math.Max(depth, 20), "product");
    }

    [TestMethod]
    [DataRow(3, 20, 1280, false)]
    [DataRow(23, 8, 256, true)]
    public void ProductsOfFewRowsAddTheirBias(int rows, int columns, int depth, bool add)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var (left, right, bias, before) = (randn(rows, depth), randn(columns, depth), randn(columns), randn(rows, columns));
        var output = before.clone();
        var product = new MatrixProduct(
            new Operand(Memory.Floats(left), depth, termsAlongRow: true),
            new Operand(Memory.Floats(right), depth, termsAlongRow: true),
            Memory.Floats(output),
            columns,
            rows,
            columns,
            depth)
        {
            Bias = Memory.Floats(bias),
            Add = add,
        };
        Assert.IsTrue(DotKernel.Suits(product));
        Run(2, product);
        var expected = left.matmul(right.t()) + bias;
        TensorAssert.AreClose(add ? expected + before : expected, output, 1e-6 * depth, "product");
    }

    [TestMethod]
    [DataRow(50, 70, 3000)]
    [DataRow(700, 300, 333)]
    public void ThreadsChangeNoBit(int rows, int columns, int depth)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var (left, right, bias) = (randn(rows, depth), randn(depth, columns), randn(columns));
        var outputs = new[] { 1, 2, 3, 8 }.Select(threads =>
        {
            var output = empty(rows, columns);
            Run(
                threads,
                new MatrixProduct(
                    new Operand(Memory.Floats(left), depth, termsAlongRow: true),
                    new Operand(Memory.Floats(right), columns, termsAlongRow: false),
                    Memory.Floats(output),
                    columns,
                    rows,
                    columns,
                    depth)
                {
                    Bias = Memory.Floats(bias),
                });
            return output;
        }).ToArray();
        TensorAssert.AreClose(left.matmul(right) + bias, outputs[0], 1e-6 * depth, "product");
        foreach (var output in outputs)
            CollectionAssert.AreEqual(outputs[0].data<float>().ToArray(), output.data<float>().ToArray());
    }

    [TestMethod]
    [DataRow(40, 64, 4, true)]
    [DataRow(30, 33, 2500, true)]
    [DataRow(30, 33, 2500, false)]
    public void ReadsAndWritesPartsOfLargerMatricesAndNothingElse(int rows, int columns, int depth, bool termsAlongRow)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        const int Around = 5;
        Tensor Matrix(long a, long b) => randn(a, b + (2 * Around));
        var (left, right) = (
            termsAlongRow ? Matrix(rows, depth) : Matrix(depth, rows), termsAlongRow ? Matrix(columns, depth) : Matrix(depth, columns));
        var output = Matrix(rows, columns);
        var before = output.clone();
        Operand Part(Tensor matrix) => new(Memory.Floats(matrix) + Around, (nint)matrix.shape[1], termsAlongRow);
        Run(
            2,
            new MatrixProduct(
                Part(left), Part(right), Memory.Floats(output) + Around, columns + (2 * Around), rows, columns, depth)
            {
                Add = true,
            });
        Tensor Inner(Tensor matrix) => matrix.narrow(1, Around, matrix.shape[1] - (2 * Around));
        var (l, r) = (Inner(left), Inner(right));
        var product = termsAlongRow ? l.matmul(r.t()) : l.t().matmul(r);
        TensorAssert.AreClose(Inner(before) + product, Inner(output), 1e-6 * Math.Max(depth, 20), "product");
        TensorAssert.AreClose(before.narrow(1, 0, Around), output.narrow(1, 0, Around), 0, "before the rows");
        TensorAssert.AreClose(before.narrow(1, columns + Around, Around), output.narrow(1, columns + Around, Around), 0, "after the rows");
    }

    [TestMethod]
    public void AloneNothingIsGathered()
    {
        using var scope = NewDisposeScope();
        var numbers = ones(4, 4);
        var operand = new Operand(Memory.Floats(numbers), 4, termsAlongRow: true);
        var gelu = new Operand(Memory.Floats(numbers), 4, termsAlongRow: true, gelu: true);
        Assert.ThrowsExactly<ArgumentException>(
            () => ManagedGemm.RunAlone(new MatrixProduct(gelu, operand, Memory.Floats(numbers), 4, 4, 4, 4)));
    }

    [TestMethod]
    public void AProductWithoutTermsIsZeroAndOneWithoutRowsIsNothing()
    {
        using var scope = NewDisposeScope();
        var numbers = ones(40, 40);
        var (empty, untouched) = (ones(20, 40), ones(1, 40));
        var operand = new Operand(Memory.Floats(numbers), 40, termsAlongRow: false);
        Run(2,
            new MatrixProduct(operand, operand, Memory.Floats(empty), 40, 20, 40, depth: 0),
            new MatrixProduct(operand, operand, Memory.Floats(untouched), 40, rows: 0, 40, depth: 3));
        Assert.AreEqual(0, empty.abs().sum().ToDouble());
        Assert.AreEqual(40, untouched.sum().ToDouble());
    }

    [TestMethod]
    public void ManyProductsOfDifferentHeightsDoNotMeet()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        int[] heights = [3, 700, 0, 12, 1, 250];
        var lefts = heights.Select(height => randn(height, 64)).ToArray();
        var rights = heights.Select(_ => randn(64, 96)).ToArray();
        var outputs = heights.Select(height => full([height, 96], float.NaN)).ToArray();
        Run(
            4,
            [
                .. heights.Select(
                    (height, i) =>
                        new MatrixProduct(
                            new Operand(Memory.Floats(lefts[i]), 64, termsAlongRow: true),
                            new Operand(Memory.Floats(rights[i]), 96, termsAlongRow: false),
                            Memory.Floats(outputs[i]),
                            96,
                            height,
                            96,
                            64)),
            ]);
        for (var i = 0; i < heights.Length; i++)
        {
            if (heights[i] > 0)
                TensorAssert.AreClose(lefts[i].matmul(rights[i]), outputs[i], 5e-5, $"product {i}");
        }
    }

    private static void Run(int threads, params MatrixProduct[] products) => WorkTeam.Run(threads, team => ManagedGemm.Run(team, products));
}
