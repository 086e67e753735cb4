// Matrix products of float32 in managed code, many of different heights at a time.
//
// Why there is such a thing: libtorch multiplies float32 matrices with MKL, which runs its AVX-512 code on Intel's processors only and
// reaches a third of what an AMD processor with AVX-512 can do. And everywhere, a group of small products is scheduled here as a whole,
// with gather, bias and GELU done on numbers that are in the cache anyway.
//
// Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008): the right operand in blocks that stay in the L2 cache,
// panels of the left one in the L1 cache.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Grouped matrix products of float32 on the CPU.</summary>
internal static unsafe class ManagedGemm
{
    private const int MaxBlockDepth = 256;
    private const int BlockColumns = 512;
    private const int SmallestTaskRows = 96;   // below, packing the right operand costs more than a tenth of the product
    private const int TasksPerThread = 6;
    private const int LeftFloats = (MicroKernel.MaxRows * MaxBlockDepth) + 16;   // GELU on a panel may go on to the end of its last vector

#pragma warning disable IDE0051 // Compiles only where both operands have room.
    private const uint ScratchLeftOver = WorkTeam.Scratch.Floats - (LeftFloats + (BlockColumns * MaxBlockDepth) + 16);
#pragma warning restore IDE0051

    /// <summary>
    /// Whether a single product beats libtorch's: on AMD's processors with AVX-512. MKL's AVX2 code comes as near to what the processor can
    /// do as this one.
    /// </summary>
    public static bool IsFast { get; } = IsSupported && Avx512F.IsSupported && IsAmd();

    /// <summary>
    /// Whether a group of products with gather, bias and GELU beats libtorch's: also on every processor without AVX-512, most of all where
    /// the products are many and small. On Intel's with AVX-512, nobody has measured.
    /// </summary>
    public static bool IsFastInGroups { get; } = IsSupported && (!Avx512F.IsSupported || IsAmd());

    /// <summary>Whether the products can be computed at all.</summary>
    public static bool IsSupported => MicroKernel.IsSupported;

    // A block of the right operand, 512 or 320 KB, stays in the L2 cache, which is 1 MB on the processors with AVX-512 and often 512 KB on
    // those without; a panel of the left one, 12 or 4 KB, in the L1 cache. Narrower blocks would fit better, but the left operand is packed
    // once for each.
    private static int BlockDepth => Avx512F.IsSupported ? MaxBlockDepth : 160;

    private readonly record struct Task(int Product, int Row, int Rows, int Column, int Columns);

    /// <summary>Computes all products. Outputs must not overlap with each other or with operands.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="products">What to multiply.</param>
    public static void Run(WorkTeam team, IReadOnlyList<MatrixProduct> products)
    {
        var tasks = Divide(products, team.Threads);
        team.ForEach(tasks.Count, (i, scratch) =>
            Compute(products[tasks[i].Product], tasks[i], left: scratch, right: scratch + LeftFloats));
    }

    // Blocks of columns, and of rows so that every thread gets several tasks: groups differ in height.
    private static List<Task> Divide(IReadOnlyList<MatrixProduct> products, int threads)
    {
        var work = 0.0;
        foreach (var product in products)
            work += (double)product.Rows * product.Columns * Math.Max(product.Depth, 1);
        var share = work / (threads * TasksPerThread);

        var tasks = new List<Task>();
        for (var p = 0; p < products.Count; p++)
        {
            var product = products[p];
            for (var column = 0; column < product.Columns; column += BlockColumns)
            {
                var columns = Math.Min(BlockColumns, product.Columns - column);
                var wanted = (int)Math.Min(share / ((double)columns * Math.Max(product.Depth, 1)), product.Rows);
                var rows = RoundUp(Math.Max(wanted, SmallestTaskRows), MicroKernel.Rows);
                for (var row = 0; row < product.Rows; row += rows)
                    tasks.Add(new Task(p, row, Math.Min(rows, product.Rows - row), column, columns));
            }
        }

        return tasks;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Compute(in MatrixProduct product, in Task task, float* left, float* right)
    {
        var tile = stackalloc float[MicroKernel.MaxRows * MicroKernel.MaxColumns];
        var transforms = product.Bias != null || product.GeluInput != null;
        var term = 0;
        do
        {
            var depth = Math.Min(BlockDepth, product.Depth - term);
            var last = term + depth == product.Depth;
            var add = term > 0 || product.Add;
            for (var column = 0; column < task.Columns; column += MicroKernel.Columns)
                product.Right.Pack(
                    MicroKernel.Columns,
                    task.Column + column,
                    Math.Min(MicroKernel.Columns, task.Columns - column),
                    term,
                    depth,
                    right + (column * BlockDepth));

            for (var row = 0; row < task.Rows; row += MicroKernel.Rows)
            {
                var rows = Math.Min(MicroKernel.Rows, task.Rows - row);
                product.Left.Pack(MicroKernel.Rows, task.Row + row, rows, term, depth, left);
                for (var column = 0; column < task.Columns; column += MicroKernel.Columns)
                {
                    var columns = Math.Min(MicroKernel.Columns, task.Columns - column);
                    var place = ((task.Row + row) * product.OutputStride) + task.Column + column;
                    var panel = right + (column * BlockDepth);
                    if (rows == MicroKernel.Rows && columns == MicroKernel.Columns && !(last && transforms))
                    {
                        MicroKernel.Multiply(depth, left, panel, product.Output + place, product.OutputStride, add);
                    }
                    else
                    {
                        MicroKernel.Multiply(depth, left, panel, tile, MicroKernel.Columns, add: false);
                        for (var i = 0; i < rows; i++)
                            Finish(
                                tile + (i * MicroKernel.Columns),
                                product,
                                place + (i * product.OutputStride),
                                task.Column + column,
                                columns,
                                add,
                                last);
                    }
                }
            }

            term += depth;
        }
        while (term < product.Depth);
    }

    // Moves one row of a tile to the output.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Finish(float* row, in MatrixProduct product, nint place, int column, int columns, bool add, bool last)
    {
        if (columns < MicroKernel.Columns)
        {
            // The end of a row, in a copy that is as wide as a tile.
            var sums = stackalloc float[3 * MicroKernel.MaxColumns];
            var bias = sums + MicroKernel.Columns;
            var input = bias + MicroKernel.Columns;
            Buffer.MemoryCopy(product.Output + place, sums, MicroKernel.Columns * sizeof(float), columns * sizeof(float));
            if (product.Bias != null)
                Buffer.MemoryCopy(product.Bias + column, bias, MicroKernel.Columns * sizeof(float), columns * sizeof(float));
            if (product.GeluInput != null)
                Buffer.MemoryCopy(product.GeluInput + place, input, MicroKernel.Columns * sizeof(float), columns * sizeof(float));
            Finish(row, sums, add, last && product.Bias != null ? bias : null, last && product.GeluInput != null ? input : null);
            Buffer.MemoryCopy(sums, product.Output + place, columns * sizeof(float), columns * sizeof(float));
            return;
        }

        Finish(
            row,
            product.Output + place,
            add,
            last && product.Bias != null ? product.Bias + column : null,
            last && product.GeluInput != null ? product.GeluInput + place : null);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(float* row, float* output, bool add, float* bias, float* geluInput)
    {
        for (var i = 0; i < MicroKernel.Columns; i += Vector512<float>.Count)
        {
            var sum = Vector512.Load(row + i);
            if (add)
                sum += Vector512.Load(output + i);
            if (bias != null)
                sum += Vector512.Load(bias + i);
            if (geluInput != null)
                sum *= VectorGelu.Derivative(Vector512.Load(geluInput + i));
            sum.Store(output + i);
        }
    }

    private static int RoundUp(int value, int multiple) => (value + multiple - 1) / multiple * multiple;

    private static bool IsAmd()
    {
        if (!X86Base.IsSupported)
            return false;
        var (_, ebx, ecx, edx) = X86Base.CpuId(0, 0);
        return (ebx, edx, ecx) == (0x68747541, 0x69746E65, 0x444D4163);   // "AuthenticAMD"
    }
}
