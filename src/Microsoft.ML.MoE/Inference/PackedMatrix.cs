// The right operand of a matrix product in the panels that the micro-kernel reads, packed once and used often.
//
//   blocks of MaxDepth terms, in each of them one panel for every MicroKernel.Columns columns: element (k, column) of a panel at
//   k · MicroKernel.Columns + column, zeros beyond the last column

using Microsoft.ML.MoE.Kernels.Gemm;

namespace Microsoft.ML.MoE.Inference;

/// <summary>A packed matrix, depth × columns, in memory of somebody else.</summary>
/// <param name="data">Room for <see cref="Size"/> numbers.</param>
/// <param name="depth">Terms of a sum.</param>
/// <param name="columns">Columns.</param>
internal readonly unsafe struct PackedMatrix(float* data, int depth, int columns)
{
    /// <summary>Terms that are multiplied at a time: a panel of them stays in the L1 cache.</summary>
    public const int MaxDepth = 256;

    /// <summary>Terms of a sum.</summary>
    public readonly int Depth = depth;

    /// <summary>Columns.</summary>
    public readonly int Columns = columns;

    /// <summary>Panels side by side.</summary>
    public int Panels => PanelsOf(Columns);

    /// <summary>Numbers of a packed matrix.</summary>
    public static long Size(long depth, int columns) => depth * PanelsOf(columns) * MicroKernel.Columns;

    /// <summary>Packs a matrix.</summary>
    /// <param name="source">Its lines are the columns.</param>
    public void Pack(Operand source)
    {
        for (var term = 0; term < Depth; term += MaxDepth)
        {
            var count = Math.Min(MaxDepth, Depth - term);
            for (var panel = 0; panel < Panels; panel++)
            {
                var column = panel * MicroKernel.Columns;
                var width = Math.Min(MicroKernel.Columns, Columns - column);
                var target = Panel(term, count, panel);
                if (width < MicroKernel.Columns)
                    new Span<float>(target, count * MicroKernel.Columns).Clear();
                source.Pack(MicroKernel.Columns, column, width, term, count, target);
            }
        }
    }

    /// <summary>A panel.</summary>
    /// <param name="term">The first of its terms, a multiple of <see cref="MaxDepth"/>.</param>
    /// <param name="terms">Terms that the matrix has from there, at most <see cref="MaxDepth"/>.</param>
    /// <param name="panel">Which panel, from 0.</param>
    public float* Panel(int term, int terms, int panel) =>
        data + ((nint)term * Panels * MicroKernel.Columns) + ((nint)panel * terms * MicroKernel.Columns);

    private static int PanelsOf(int columns) => (columns + MicroKernel.Columns - 1) / MicroKernel.Columns;
}
