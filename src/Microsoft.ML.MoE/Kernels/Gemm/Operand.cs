// How an operand of the managed matrix product lies in memory, and its copy into the panels that the micro-kernel reads.
//
// A panel holds `width` lines (rows of the left operand, columns of the right one) side by side: element (k, line) at k·width + line, zeros
// beyond the last line.

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
    /// <summary>
    /// Copies lines [first, first + count) and terms [term, term + depth) into a panel, after which there is room for some numbers more,
    /// which may be overwritten.
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
            for (var i = 0; i < count; i++)
                panel[i] = source[i];
            new Span<float>(panel + count, width - count).Clear();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TransposeRows(int width, int first, int count, int term, int depth, float* panel)
    {
        var line = 0;
        if (Avx512F.IsSupported && depth >= VectorTranspose.Side && count == width)
        {
            var rows = stackalloc float*[VectorTranspose.Side];
            for (; line < width; line += VectorTranspose.Side)   // widths are 12 and 32
            {
                var lines = Math.Min(VectorTranspose.Side, width - line);
                for (var i = 0; i < lines; i++)
                    rows[i] = Row(first + line + i) + term;
                for (var k = 0; k < depth; k += VectorTranspose.Side)
                {
                    // The last square may write again what the one before it has written.
                    var from = Math.Min(k, depth - VectorTranspose.Side);
                    VectorTranspose.Run(rows, lines, from, panel + line + (from * width), width);
                }
            }

            return;
        }

        for (; line + 4 <= count; line += 4)
        {
            var a = Row(first + line) + term;
            var b = Row(first + line + 1) + term;
            var c = Row(first + line + 2) + term;
            var d = Row(first + line + 3) + term;
            var target = panel + line;
            var k = 0;
            for (; k + 4 <= depth; k += 4, target += 4 * width)
            {
                var (va, vb, vc, vd) = (Vector128.Load(a + k), Vector128.Load(b + k), Vector128.Load(c + k), Vector128.Load(d + k));
                Transpose(ref va, ref vb, ref vc, ref vd);
                va.Store(target);
                vb.Store(target + width);
                vc.Store(target + (2 * width));
                vd.Store(target + (3 * width));
            }

            for (; k < depth; k++, target += width)
                (target[0], target[1], target[2], target[3]) = (a[k], b[k], c[k], d[k]);
        }

        for (; line < width; line++)
        {
            var source = line < count ? Row(first + line) + term : null;
            for (var k = 0; k < depth; k++)
                panel[(k * width) + line] = source == null ? 0 : source[k];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose(ref Vector128<float> a, ref Vector128<float> b, ref Vector128<float> c, ref Vector128<float> d)
    {
        var (ab0, ab1) = (Sse.UnpackLow(a, b), Sse.UnpackHigh(a, b));
        var (cd0, cd1) = (Sse.UnpackLow(c, d), Sse.UnpackHigh(c, d));
        a = Sse.MoveLowToHigh(ab0, cd0);
        b = Sse.MoveHighToLow(cd0, ab0);
        c = Sse.MoveLowToHigh(ab1, cd1);
        d = Sse.MoveHighToLow(cd1, ab1);
    }
}
