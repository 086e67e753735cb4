// Matrix products of float32 in managed code, many of different heights at a time.
//
// Why there is such a thing: libtorch multiplies float32 matrices with MKL, which runs its AVX-512 code on Intel's processors only and
// reaches less than half of what an AMD processor with AVX-512 can do. And everywhere, a group of small products is scheduled here as a
// whole, with gather, bias and GELU done on numbers that are in the cache anyway.
//
// Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008): the right operand in blocks that stay in the L2 cache,
// panels of the left one in the L1 cache. An operand of which little use is made is read where it lies.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Grouped matrix products of float32 on the CPU.</summary>
internal static unsafe class ManagedGemm
{
    private const int TasksPerThread = 6;
    private const int LeastRows = 96;   // of a task that others share a right operand with, which each of them packs
    private const int LeastColumns = 128;
    private const int PanelsReadInPlace = 4;   // of the right operand: for more, a left one is packed
    private const int MostSums = 1 << 16;   // of a product whose terms are divided among tasks
    private const int LeastTerms = 256;
    private const int MostParts = 8;

    /// <summary>
    /// Whether a single product beats libtorch's: on AMD's processors, twice with AVX-512, by a tenth with AVX2. On Intel's, nobody has
    /// measured, and MKL knows them best.
    /// </summary>
    public static bool IsFast { get; } = IsSupported && IsAmd();

    /// <summary>
    /// Whether a group of products with gather, bias and GELU beats libtorch's: also on every processor without AVX-512, most of all where
    /// the products are many and small. On Intel's with AVX-512, nobody has measured.
    /// </summary>
    public static bool IsFastInGroups { get; } = IsSupported && (!Avx512F.IsSupported || IsAmd());

    /// <summary>Whether the products can be computed at all.</summary>
    public static bool IsSupported => MicroKernel.IsSupported;

    private readonly record struct Task(MatrixProduct Product, int Row, int Rows, int Column, int Columns);

    /// <summary>Computes all products. Outputs must not overlap with each other or with operands.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="products">What to multiply.</param>
    public static void Run(WorkTeam team, IReadOnlyList<MatrixProduct> products)
    {
        if (products.Count == 1 && PartsOf(products[0]) is > 1 and var parts)
        {
            RunInParts(team, products[0], parts);
            return;
        }

        Compute(team, products);
    }

    /// <summary>
    /// Computes a product on the calling thread, without the memory and the help of a team: for products so small that a team takes longer
    /// to come together than they take.
    /// </summary>
    /// <param name="product">What to multiply.</param>
    /// <exception cref="ArgumentException">A gathered operand or one with GELU, which only a team computes.</exception>
    [SkipLocalsInit]
    public static void RunAlone(in MatrixProduct product)
    {
        if (!product.Left.IsPlain || !product.Right.IsPlain)
            throw new ArgumentException("A product of gathered rows, or with GELU, is computed by a team.");
        if (product.Rows == 0)
            return;
        if (PartsOf(product) > 1)
        {
            var whole = product;
            WorkTeam.Run(1, team => Run(team, [whole]));
            return;
        }

        // Few columns at a time, which takes little room. So few that the left operand is read in place.
        var scratch = stackalloc float[Blocks.LeftFloats + (MicroKernel.MaxColumns * Blocks.MaxDepth) + 16];
        var columns = Math.Min(
            MicroKernel.MaxColumns * Blocks.MaxDepth / Math.Max(DepthOf(product.Depth), 1) / MicroKernel.Columns,
            PanelsReadInPlace) * MicroKernel.Columns;
        for (var column = 0; column < product.Columns; column += columns)
            Compute(new Task(product, 0, product.Rows, column, Math.Min(columns, product.Columns - column)), scratch);
    }

    private static void Compute(WorkTeam team, IReadOnlyList<MatrixProduct> products)
    {
        var tasks = Divide(products, team.Threads);
        team.ForEach(tasks.Count, (i, scratch) => Compute(tasks[i], scratch));
    }

    // A product with few sums of many terms, such as a weight's gradient, is work for several threads only if its terms are divided. Into
    // how many parts depends on its shape alone, so that the sums do not depend on the threads.
    private static int PartsOf(in MatrixProduct product) =>
        (long)product.Rows * product.Columns <= MostSums ? Math.Min(product.Depth / LeastTerms, MostParts) : 1;

    private static void RunInParts(WorkTeam team, MatrixProduct product, int parts)
    {
        const int Vector = 16;   // parts of whole vectors, which kernels of few rows ask for
        long Cut(int at) => at == parts ? product.Depth : (long)product.Depth * at / parts / Vector * Vector;

        var sums = product.Rows * product.Columns;
        var room = (float*)NativeMemory.AlignedAlloc((nuint)((long)parts * sums * sizeof(float)), 64);
        try
        {
            var products = new MatrixProduct[parts];
            for (var part = 0; part < parts; part++)
            {
                var (first, end) = (Cut(part), Cut(part + 1));
                products[part] = new MatrixProduct(
                    product.Left.From((int)first),
                    product.Right.From((int)first),
                    room + ((nint)part * sums),
                    product.Columns,
                    product.Rows,
                    product.Columns,
                    (int)(end - first));
            }

            Compute(team, products);
            for (var row = 0; row < product.Rows; row++)
            {
                var output = product.Output + (row * product.OutputStride);
                if (!product.Add)
                    new Span<float>(output, product.Columns).Clear();
                for (var part = 0; part < parts; part++)
                    RowSums.AddScaled(room + ((nint)part * sums) + ((nint)row * product.Columns), 1, output, product.Columns);
                Finish(product, row, 1, 0, product.Columns, addBias: true);
            }
        }
        finally
        {
            NativeMemory.AlignedFree(room);
        }
    }

    // Blocks of rows and columns so that every thread gets several tasks: groups differ in height.
    private static List<Task> Divide(IReadOnlyList<MatrixProduct> products, int threads)
    {
        var work = 0.0;
        foreach (var product in products)
            work += WorkOf(product);
        var share = Math.Max(work / (threads * TasksPerThread), 1);

        var tasks = new List<Task>(products.Count);
        foreach (var product in products)
        {
            if (product.Rows == 0)
                continue;
            var depth = Math.Min(DepthOf(product.Depth), product.Depth);
            var blockColumns = Blocks.RightFloats / Math.Max(depth, MicroKernel.Columns) / MicroKernel.Columns * MicroKernel.Columns;
            var (rowParts, columnParts) = (1, DivideUp(product.Columns, blockColumns));
            var wanted = threads == 1 ? 1 : WorkOf(product) / share;
            while (rowParts * columnParts < wanted)
            {
                // Halves of the longer side: what is packed more than once is least.
                var (rows, columns) = (product.Rows / (rowParts + 1), product.Columns / (columnParts + 1));
                if (rows >= LeastRows && (rows >= columns || columns < LeastColumns))
                    rowParts++;
                else if (columns >= LeastColumns)
                    columnParts++;
                else
                    break;
            }

            var taskRows = DivideUp(DivideUp(product.Rows, rowParts), MicroKernel.Rows) * MicroKernel.Rows;
            var taskColumns = DivideUp(DivideUp(product.Columns, columnParts), MicroKernel.Columns) * MicroKernel.Columns;
            for (var column = 0; column < product.Columns; column += taskColumns)
            {
                for (var row = 0; row < product.Rows; row += taskRows)
                {
                    tasks.Add(
                        new Task(
                            product,
                            row,
                            Math.Min(taskRows, product.Rows - row),
                            column,
                            Math.Min(taskColumns, product.Columns - column)));
                }
            }
        }

        return tasks;
    }

    private static double WorkOf(in MatrixProduct product) => (double)product.Rows * product.Columns * Math.Max(product.Depth, 1);

    // Terms of a block: as many in each, so that no block is short.
    private static int DepthOf(int depth) => DivideUp(DivideUp(depth, Math.Max(DivideUp(depth, Blocks.Depth), 1)), 16) * 16;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Compute(in Task task, float* scratch)
    {
        var product = task.Product;
        if (DotKernel.Suits(product))
        {
            DotKernel.Compute(product, task.Column, task.Columns);
            return;
        }

        if (product.Depth == 0)
        {
            for (var row = task.Row; row < task.Row + task.Rows && !product.Add; row++)
                new Span<float>(product.Output + (row * product.OutputStride) + task.Column, task.Columns).Clear();
            Finish(product, task.Row, task.Rows, task.Column, task.Columns, addBias: true);
            return;
        }

        var left = scratch;
        var right = scratch + Blocks.LeftFloats;
        var panels = DivideUp(task.Rows, MicroKernel.Rows);
        var packLeft = !product.Left.IsPlain || DivideUp(task.Columns, MicroKernel.Columns) > PanelsReadInPlace;
        var packRight = !product.Right.IsPlain || product.Right.TermsAlongRow || panels > 2;
        var blockDepth = DepthOf(product.Depth);
        for (var term = 0; term < product.Depth; term += blockDepth)
        {
            var depth = Math.Min(blockDepth, product.Depth - term);
            for (var column = 0; column < task.Columns; column += MicroKernel.Columns)
            {
                var columns = Math.Min(MicroKernel.Columns, task.Columns - column);
                if (packRight || !FillsVectors(columns))
                    product.Right.Pack(MicroKernel.Columns, task.Column + column, columns, term, depth, right + ((nint)column * depth));
            }

            for (var panel = 0; panel < panels; panel++)
            {
                var (row, rows) = Part(task.Rows, panels, panel);
                if (packLeft)
                    product.Left.Pack(MicroKernel.Rows, task.Row + row, rows, term, depth, left);
                var lines = packLeft ? new Lines(left, 1, MicroKernel.Rows) : product.Left.At(task.Row + row, term);
                for (var column = 0; column < task.Columns; column += MicroKernel.Columns)
                {
                    var columns = Math.Min(MicroKernel.Columns, task.Columns - column);
                    var packed = packRight || !FillsVectors(columns);
                    Multiply(
                        product,
                        task.Row + row,
                        rows,
                        task.Column + column,
                        columns,
                        term,
                        depth,
                        lines,
                        packed ? right + ((nint)column * depth) : product.Right.At(task.Column + column, term).First,
                        packed ? MicroKernel.Columns : product.Right.Stride);
                }
            }
        }
    }

    // Whether some columns are as many as a tile has, or half of one.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool FillsVectors(int columns) => columns == MicroKernel.Columns || columns == MicroKernel.Columns / 2;

    // One tile's share of a block of terms, and with the last block what is done to a finished sum.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Multiply(
        in MatrixProduct product, int row, int rows, int column, int columns, int term, int depth, in Lines lines, float* right,
        nint rightStep)
    {
        var output = product.Output + (row * product.OutputStride) + column;
        var add = term > 0 || product.Add;
        var last = term + depth == product.Depth;
        var half = columns <= MicroKernel.Columns / 2;
        var whole = FillsVectors(columns);
        if (whole)
        {
            var bias = last && product.Bias != null ? product.Bias + column : null;
            MicroKernel.Multiply(rows, half, depth, lines, right, rightStep, new Tile(output, product.OutputStride, add, bias));
        }
        else
        {
            MultiplyNarrow(rows, half, depth, lines, right, rightStep, output, product.OutputStride, columns, add);
        }

        if (last && (product.GeluInput != null || (!whole && product.Bias != null)))
            Finish(product, row, rows, column, columns, addBias: !whole);
    }

    // The last columns of a product, by a tile that is wider.
    private static void MultiplyNarrow(
        int rows, bool half, int depth, in Lines lines, float* right, nint rightStep, float* output, nint stride, int columns, bool add)
    {
        var tile = stackalloc float[MicroKernel.MaxRows * MicroKernel.MaxColumns];
        MicroKernel.Multiply(rows, half, depth, lines, right, rightStep, new Tile(tile, MicroKernel.MaxColumns, add: false, bias: null));
        for (var i = 0; i < rows; i++, tile += MicroKernel.MaxColumns, output += stride)
        {
            for (var column = 0; column < columns; column++)
                output[column] = tile[column] + (add ? output[column] : 0);
        }
    }

    // The bias, where it has not been added yet, and GELU's derivative.
    private static void Finish(in MatrixProduct product, int row, int rows, int column, int columns, bool addBias)
    {
        for (var i = row; i < row + rows; i++)
        {
            var place = (i * product.OutputStride) + column;
            if (addBias && product.Bias != null)
                RowSums.AddScaled(product.Bias + column, 1, product.Output + place, columns);
            if (product.GeluInput != null)
                MultiplyByDerivative(product.GeluInput + place, product.Output + place, columns);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyByDerivative(float* input, float* output, int count)
    {
        var i = 0;
        for (; i + Vector512<float>.Count <= count; i += Vector512<float>.Count)
            (Vector512.Load(output + i) * VectorGelu.Derivative(Vector512.Load(input + i))).Store(output + i);
        if (i == count)
            return;

        var end = stackalloc float[Vector512<float>.Count];
        for (var j = i; j < count; j++)
            end[j - i] = input[j];
        var derivative = VectorGelu.Derivative(Vector512.Load(end));
        for (var j = i; j < count; j++)
            output[j] *= derivative[j - i];
    }

    // Part number `part` of [0, count): where it starts, and how long it is. No part is more than one longer than another.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (int Start, int Count) Part(int count, int parts, int part)
    {
        var (length, longer) = (count / parts, count % parts);
        return ((part * length) + Math.Min(part, longer), length + (part < longer ? 1 : 0));
    }

    private static int DivideUp(int value, int by) => (value + by - 1) / by;

    private static bool IsAmd()
    {
        if (!X86Base.IsSupported)
            return false;
        var (_, ebx, ecx, edx) = X86Base.CpuId(0, 0);
        return (ebx, edx, ecx) == (0x68747541, 0x69746E65, 0x444D4163);   // "AuthenticAMD"
    }
}
