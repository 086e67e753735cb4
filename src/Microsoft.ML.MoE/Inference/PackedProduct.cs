// Products of rows with a packed matrix. Every sum is added up in the order of its terms, MaxDepth of them at a time, whichever kernel
// computes it: what becomes of a row does not depend on how many others there are, nor on the threads.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Gemm;

namespace Microsoft.ML.MoE.Inference;

/// <summary>Products with a <see cref="PackedMatrix"/>.</summary>
internal static unsafe class PackedProduct
{
    private const long SmallestShare = 1 << 18;   // multiply-adds of a thread that pay for waking it
    private const int RowsOfTask = 4 * MicroKernel.MaxRows;
    private const int FewRows = 4;

    // A block of the right operand stays in the L2 cache, 1 MB with AVX-512 and often 512 KB without.
    private static int BlockFloats => Avx512F.IsSupported ? 128 << 10 : 72 << 10;

    /// <summary>Computes rows · matrix.</summary>
    /// <param name="workspace">Who works.</param>
    /// <param name="left">The rows, each of the matrix's depth.</param>
    /// <param name="rows">How many.</param>
    /// <param name="right">The matrix.</param>
    /// <param name="target">Where it goes; not where the rows are.</param>
    public static void Run(Workspace workspace, LeftRows left, int rows, PackedMatrix right, ProductTarget target)
    {
        if (workspace.Team is { } team && (long)rows * right.Depth * right.Columns >= 2 * SmallestShare)
            RunTogether(team, left, rows, right, target);
        else
            Run(left, right, right.Depth, new(0, rows, 0, right.Columns), target);
    }

    /// <summary>Computes a part of a product on this thread.</summary>
    /// <param name="left">The rows.</param>
    /// <param name="right">The matrix.</param>
    /// <param name="depth">Terms that count, from the first on.</param>
    /// <param name="part">Which part.</param>
    /// <param name="target">Where the whole product goes.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(LeftRows left, PackedMatrix right, int depth, ProductPart part, ProductTarget target)
    {
        var (firstRow, rows, firstColumn, columns) = part;
        var packed = stackalloc float[(MicroKernel.MaxRows * PackedMatrix.MaxDepth) + 16];
        var tile = stackalloc float[4 * MicroKernel.MaxColumns * FewRows];   // at least as large as that of the micro-kernel
        var lefts = new Operand(left.Data, left.Stride, termsAlongRow: true, left.Index);
        var (firstPanel, endColumn) = (firstColumn / MicroKernel.Columns, firstColumn + columns);
        var endPanel = (endColumn + MicroKernel.Columns - 1) / MicroKernel.Columns;
        var panelsOfBlock = Math.Max(1, BlockFloats / (Math.Min(Math.Max(depth, 1), PackedMatrix.MaxDepth) * MicroKernel.Columns));
        for (var block = firstPanel; block < endPanel; block += panelsOfBlock)
        {
            var endOfBlock = Math.Min(endPanel, block + panelsOfBlock);
            for (var term = 0; term < depth || term == 0; term += PackedMatrix.MaxDepth)
            {
                var stored = Math.Min(PackedMatrix.MaxDepth, right.Depth - term);
                var terms = Math.Min(PackedMatrix.MaxDepth, depth - term);
                var finish = new Finish(target, target.Add || term > 0, term + terms == depth);
                var row = firstRow;
                var end = firstRow + rows;
                for (; end - row > (Avx512F.IsSupported ? 2 * FewRows : 2); row += MicroKernel.Rows)
                {
                    var count = Math.Min(MicroKernel.Rows, end - row);
                    if (terms == 0)
                        new Span<float>(tile, MicroKernel.MaxColumns * MicroKernel.MaxRows).Clear();
                    else if (!lefts.IsPlain)
                        lefts.Pack(MicroKernel.Rows, row, count, term, terms, packed);
                    var lines = lefts.IsPlain ? lefts.At(row, term) : new Lines(packed, 1, MicroKernel.Rows);
                    for (var panel = block; panel < endOfBlock; panel++)
                    {
                        var column = panel * MicroKernel.Columns;
                        var width = Math.Min(MicroKernel.Columns, endColumn - column);
                        var place = target.Data + (row * target.Stride) + column;
                        var data = right.Panel(term, stored, panel);
                        if (finish.IsPlain && terms > 0 && width == MicroKernel.Columns)
                        {
                            MicroKernel.Multiply(
                                count,
                                half: false,
                                terms,
                                lines,
                                data,
                                MicroKernel.Columns,
                                new Tile(place, target.Stride, finish.Adds, null));
                            continue;
                        }
                        if (terms > 0)
                            MicroKernel.Multiply(
                                count,
                                half: false,
                                terms,
                                lines,
                                data,
                                MicroKernel.Columns,
                                new Tile(tile, MicroKernel.Columns, false, null));
                        for (var i = 0; i < count; i++)
                            finish.Store(tile + (i * MicroKernel.Columns), place + (i * target.Stride), column, width);
                    }
                }
                if (Avx512F.IsSupported)
                {
                    for (; end - row > 1; row += FewRows)
                    {
                        var count = Math.Min(FewRows, end - row);
                        var last = count - 1;
                        float* r0 = left[row] + term, r1 = left[row + 1] + term;
                        float* r2 = left[row + Math.Min(2, last)] + term, r3 = left[row + Math.Min(3, last)] + term;
                        for (var panel = block; panel < endOfBlock; panel++)
                        {
                            var column = panel * MicroKernel.Columns;
                            RowKernel.Four(terms, r0, r1, r2, r3, right.Panel(term, stored, panel), tile);
                            for (var i = 0; i < count; i++)
                                finish.Store(
                                    tile + (i * MicroKernel.Columns),
                                    target.Data + ((row + i) * target.Stride) + column,
                                    column,
                                    Math.Min(MicroKernel.Columns, endColumn - column));
                        }
                    }
                }
                for (; row < end; row++)
                {
                    for (var panel = block; panel < endOfBlock; panel += 4)
                    {
                        var (column, last) = (panel * MicroKernel.Columns, endOfBlock - 1);
                        RowKernel.One(
                            terms,
                            left[row] + term,
                            right.Panel(term, stored, panel),
                            right.Panel(term, stored, Math.Min(panel + 1, last)),
                            right.Panel(term, stored, Math.Min(panel + 2, last)),
                            right.Panel(term, stored, Math.Min(panel + 3, last)),
                            tile);
                        var width = Math.Min(Math.Min(4, endOfBlock - panel) * MicroKernel.Columns, endColumn - column);
                        finish.Store(tile, target.Data + (row * target.Stride) + column, column, width);
                    }
                }
            }
        }
    }

    private static void RunTogether(WorkTeam team, LeftRows left, int rows, PackedMatrix right, ProductTarget target)
    {
        // Pieces of columns where there are few rows, of both where there are many: at least as many as three for every thread.
        var rowTasks = (rows + RowsOfTask - 1) / RowsOfTask;
        var columnTasks = Math.Min(right.Panels, Math.Max(1, ((3 * team.Threads) + rowTasks - 1) / rowTasks));
        var panels = (right.Panels + columnTasks - 1) / columnTasks;
        columnTasks = (right.Panels + panels - 1) / panels;
        team.ForEach(rowTasks * columnTasks, (task, _) =>
        {
            var row = task / columnTasks * RowsOfTask;
            var column = task % columnTasks * panels * MicroKernel.Columns;
            var (height, width) = (Math.Min(RowsOfTask, rows - row), Math.Min(panels * MicroKernel.Columns, right.Columns - column));
            Run(left, right, right.Depth, new(row, height, column, width), target);
        });
    }

    // What becomes of the sums of a tile.
    private readonly struct Finish(ProductTarget target, bool add, bool last)
    {
        private readonly float* bias = last ? target.Bias : null;
        private readonly bool gelu = last && target.Gelu;

        public readonly bool Adds = add;

        public bool IsPlain => bias == null && !gelu;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Store(float* sums, float* place, int column, int count)
        {
            for (var i = 0; i < count; i += Vector512<float>.Count)
            {
                var sum = Vector512.Load(sums + i);
                if (Adds)
                    sum += VectorMemory.Load(place + i, count - i);
                if (bias != null)
                    sum += Vector512.Load(bias + column + i);
                if (gelu)
                    sum = VectorGelu.Value(sum);
                VectorMemory.Store(sum, place + i, count - i);
            }
        }
    }
}
