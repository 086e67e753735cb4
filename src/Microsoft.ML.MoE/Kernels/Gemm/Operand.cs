// How an operand of the managed matrix product lies in memory, and its copy into the panels that the micro-kernel reads.
//
// A panel holds `width` lines (rows of the left operand, columns of the right one) side by side: element (k, line) at k·width + line,
// anything beyond the last line.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>A float32 matrix as seen by the sum over k: where its lines and its terms lie.</summary>
/// <param name="data">The first number.</param>
/// <param name="stride">Numbers from one row of memory to the next.</param>
/// <param name="termsAlongRow">True if a row of memory is a line and k runs along it; false if a row of memory holds one k of every
/// line.</param>
/// <param name="rowIndex">The row of memory that stands for row r, or null where they are in order.</param>
/// <param name="gelu">Whether GELU is applied to every number on the way.</param>
internal readonly unsafe struct Operand(float* data, nint stride, bool termsAlongRow, long* rowIndex = null, bool gelu = false)
{
    /// <summary>Whether the numbers lie in a row of memory term by term.</summary>
    public bool TermsAlongRow => termsAlongRow;

    /// <summary>Whether the numbers can be read where they lie: nothing is gathered and nothing is done to them.</summary>
    public bool IsPlain => rowIndex == null && !gelu;

    /// <summary>Whether GELU is applied to every number.</summary>
    public bool AppliesGelu => gelu;

    /// <summary>Numbers from one row of memory to the next.</summary>
    public nint Stride => stride;

    /// <summary>
    /// Lines from <paramref name="first"/> on and terms from <paramref name="term"/> on of a plain operand, where they lie.
    /// </summary>
    public Lines At(int first, int term) =>
        termsAlongRow ? new(data + (first * stride) + term, stride, 1) : new(data + (term * stride) + first, 1, stride);

    /// <summary>The operand without its terms before <paramref name="term"/>.</summary>
    public Operand From(int term) =>
        termsAlongRow ? new(data + term, stride, true, rowIndex, gelu)
        : rowIndex == null ? new(data + (term * stride), stride, false, null, gelu)
        : new(data, stride, false, rowIndex + term, gelu);

    /// <summary>
    /// Copies lines [first, first + count) and terms [term, term + depth) into a panel, after which there is room for some numbers more,
    /// which may be overwritten. What lines beyond the last hold is undefined.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Pack(int width, int first, int count, int term, int depth, float* panel)
    {
        if (!termsAlongRow)
            CopyRows(width, first, count, term, depth, panel);
        else
            TransposeRows(width, first, count, term, depth, panel);

        if (!gelu)
            return;
        // A full block's panel is a multiple of a vector; past the last block's there is room.
        for (var i = 0; i < depth * width; i += Vector512<float>.Count)
            VectorGelu.Value(Vector512.Load(panel + i)).Store(panel + i);
    }

    private float* Row(int row) => data + ((rowIndex == null ? row : (nint)rowIndex[row]) * stride);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void CopyRows(int width, int first, int count, int term, int depth, float* panel)
    {
        if (count == width)
        {
            for (var k = 0; k < depth; k++, panel += width)
            {
                var source = Row(term + k) + first;
                switch (width)
                {
                    case MicroKernel512.Columns:
                        Vector512.Load(source).Store(panel);
                        Vector512.Load(source + 16).Store(panel + 16);
                        break;
                    case MicroKernel512.Rows:
                        Vector256.Load(source).Store(panel);
                        Vector128.Load(source + 8).Store(panel + 8);
                        break;
                    case MicroKernel256.Columns:
                        Vector512.Load(source).Store(panel);
                        break;
                    default:
                        Vector128.Load(source).Store(panel);
                        Vector64.Load(source + 4).Store(panel + 4);
                        break;
                }
            }

            return;
        }

        for (var k = 0; k < depth; k++, panel += width)
        {
            var source = Row(term + k) + first;
            var i = 0;
            for (; i + 4 <= count; i += 4)
                Vector128.Load(source + i).Store(panel + i);
            for (; i < count; i++)
                panel[i] = source[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TransposeRows(int width, int first, int count, int term, int depth, float* panel)
    {
        var side = Avx512F.IsSupported ? VectorTranspose.Side : VectorTranspose256.Side;
        if (depth < side)
        {
            for (var line = 0; line < count; line++)
            {
                var source = Row(first + line) + term;
                for (var k = 0; k < depth; k++)
                    panel[(k * width) + line] = source[k];
            }

            return;
        }

        var rows = stackalloc float*[VectorTranspose.Side];
        for (var line = 0; line < count; line += side)   // widths are 12 and 32, or 6 and 16
        {
            // What a square has besides the panel's lines, or besides the operand's, is the last line again: it lies where the next term's
            // first lines are still to be written, or is not read.
            for (var i = 0; i < side; i++)
                rows[i] = Row(first + Math.Min(line + i, count - 1)) + term;
            for (var k = 0; k < depth; k += side)
            {
                // The last square may write again what the one before it has written.
                var from = Math.Min(k, depth - side);
                if (Avx512F.IsSupported)
                    VectorTranspose.Run(rows, from, panel + line + (from * width), width);
                else
                    VectorTranspose256.Run(rows, from, panel + line + (from * width), width);
            }
        }
    }
}
