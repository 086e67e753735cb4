// The innermost loop of a product of few rows with a matrix whose columns lie as rows in memory, such as a layer's weights: copied into
// panels, the matrix would be transposed for the sake of a few uses of each number. Here both operands are read as they lie, several terms
// of a sum at a time.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Products of rows with rows, read where they lie.</summary>
internal static unsafe class DotKernel
{
    /// <summary>Columns of the output that are computed at a time.</summary>
    public const int Columns = 4;

    private const int MostRows = 24;   // of an output: for more, the matrix is better transposed
    private const int LeastDepth = 128;   // for fewer terms, adding up the lanes takes as long as they do
    private const int MostDepth = 2048;   // of a block: four rows of the matrix and one of the left operand stay near

    private static int Rows => Avx512F.IsSupported ? DotKernel512.Rows : DotKernel256.Rows;

    private static int Terms => Avx512F.IsSupported ? DotKernel512.Terms : DotKernel256.Terms;

    /// <summary>Whether a product is computed here, which depends on its shape alone.</summary>
    public static bool Suits(in MatrixProduct product) =>
        product.Rows <= MostRows
        && Suits(product.Depth, product.Columns)
        && product.Left.IsPlain && product.Left.TermsAlongRow
        && product.Right.IsPlain && product.Right.TermsAlongRow
        && product.GeluInput == null;

    /// <summary>Whether a matrix has a shape with which products of few rows are computed here.</summary>
    /// <param name="depth">Terms of a sum.</param>
    /// <param name="columns">Columns of the output.</param>
    public static bool Suits(long depth, long columns) => depth >= LeastDepth && depth % Terms == 0 && columns % Columns == 0;

    /// <summary>Computes some columns of a product, a multiple of <see cref="Columns"/>.</summary>
    public static void Compute(in MatrixProduct product, int firstColumn, int columns)
    {
        var parts = (product.Rows + Rows - 1) / Rows;
        for (var term = 0; term < product.Depth; term += MostDepth)
        {
            var depth = Math.Min(MostDepth, product.Depth - term);
            var last = term + depth == product.Depth;
            for (var column = firstColumn; column < firstColumn + columns; column += Columns)
            {
                for (var part = 0; part < parts; part++)
                {
                    var (row, end) = (product.Rows * part / parts, product.Rows * (part + 1) / parts);
                    var tile = new Tile(
                        product.Output + (row * product.OutputStride) + column,
                        product.OutputStride,
                        product.Add || term > 0,
                        last && product.Bias != null ? product.Bias + column : null);
                    Multiply(
                        end - row,
                        depth,
                        product.Left.At(row, term).First,
                        product.Left.Stride,
                        product.Right.At(column, term).First,
                        product.Right.Stride,
                        tile);
                }
            }
        }
    }

    /// <summary>Computes the products of some rows with four, or adds them to a tile.</summary>
    /// <param name="rows">Rows of the tile, from 1 to as many as the kernel takes.</param>
    /// <param name="depth">Terms of each sum.</param>
    /// <param name="left">The first of the rows.</param>
    /// <param name="leftStride">Numbers from one to the next.</param>
    /// <param name="right">The first of the four rows.</param>
    /// <param name="rightStride">Numbers from one to the next.</param>
    /// <param name="tile">What is written.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(int rows, int depth, float* left, nint leftStride, float* right, nint rightStride, in Tile tile)
    {
        if (Avx512F.IsSupported)
            DotKernel512.Multiply(rows, depth, left, leftStride, right, rightStride, tile);
        else
            DotKernel256.Multiply(rows, depth, left, leftStride, right, rightStride, tile);
    }
}
