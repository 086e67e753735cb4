namespace Microsoft.ML.MoE.Inference;

/// <summary>Changes rows and columns of matrices that lie one after the other.</summary>
internal static unsafe class Transposition
{
    private const int Side = 16;   // of a square whose rows stay in the L1 cache

    /// <summary>target = sourceᵀ, or target + sourceᵀ, matrix by matrix.</summary>
    /// <param name="source">Matrices (rows, columns).</param>
    /// <param name="matrices">How many.</param>
    /// <param name="rows">Rows of a source.</param>
    /// <param name="columns">Columns of a source.</param>
    /// <param name="target">Matrices (columns, rows).</param>
    /// <param name="add">Whether to add to what is there.</param>
    public static void Run(float* source, int matrices, int rows, int columns, float* target, bool add = false)
    {
        for (var matrix = 0; matrix < matrices; matrix++, source += (nint)rows * columns, target += (nint)rows * columns)
        {
            for (var top = 0; top < rows; top += Side)
            {
                for (var left = 0; left < columns; left += Side)
                    Square(source, rows, columns, target, top, left, add);
            }
        }
    }

    private static void Square(float* source, int rows, int columns, float* target, int top, int left, bool add)
    {
        var (bottom, right) = (Math.Min(top + Side, rows), Math.Min(left + Side, columns));
        for (var column = left; column < right; column++)
        {
            var to = target + ((nint)column * rows);
            var from = source + column;
            for (var row = top; row < bottom; row++)
                to[row] = add ? to[row] + from[(nint)row * columns] : from[(nint)row * columns];
        }
    }
}
