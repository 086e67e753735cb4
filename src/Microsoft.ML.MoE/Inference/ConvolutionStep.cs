// A convolution of a stem: 3×3, the maximum of every 2×2 or a stride of two, batch normalisation, ReLU. The numbers around some lines of
// places are copied side by side, and multiplied with the weights at once; a strip of lines stays in the cache until it is normalised.
//
// Axes: H = height, W = width, C = channels of the input, O = of the output.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Microsoft.ML.MoE.Kernels;

namespace Microsoft.ML.MoE.Inference;

/// <summary>A convolution and what belongs to it.</summary>
/// <param name="product">3·3·C to O: the numbers around a place line by line, those of a pixel side by side.</param>
/// <param name="scale">γ / √(Var + ε) of the normalisation, (O).</param>
/// <param name="shift">β − mean · scale, (O).</param>
/// <param name="stride">Places from one product to the next: 1 or 2.</param>
/// <param name="pools">Whether the maximum of every 2×2 places follows, of fewer at the lower and right border.</param>
internal sealed unsafe class ConvolutionStep(LinearStep product, PinnedFloats scale, PinnedFloats shift, int stride, bool pools)
{
    private const int Side = 3;
    private const int FloatsOfStrip = 1 << 15;   // 128 KB of copies: with the products they stay in the L2 cache

    /// <summary>O.</summary>
    public int Outputs => product.Outputs;

    private int Inputs => product.Inputs / (Side * Side);

    /// <summary>What is left of a side of the image.</summary>
    public int Shrunk(int side) => stride == 2 || pools ? (side + 1) / 2 : side;

    /// <summary>Numbers of an image with a border of a pixel.</summary>
    public static long Bordered(int height, int width, int channels) => (height + 2L) * (width + 2) * channels;

    /// <summary>Computes an image.</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="x">(H + 2, W + 2, C): the image in a border of zeros.</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="y">The first place of the result.</param>
    /// <param name="lineOfY">Numbers from one of its lines to the next; its pixels lie one after the other.</param>
    /// <param name="add">Whether to add to what is there.</param>
    public void Apply(Workspace workspace, float* x, int height, int width, float* y, nint lineOfY, bool add)
    {
        var mark = workspace.Mark();
        var (inputs, outputs) = (Inputs, Outputs);
        // Of the product; the result is half as high where maxima follow.
        var (lines, places) = stride == 2 ? ((height + 1) / 2, (width + 1) / 2) : (height, width);
        var window = Side * Side * inputs;
        var linesOfStrip = Math.Max(1, FloatsOfStrip / (places * window));
        if (pools)
            linesOfStrip = (linesOfStrip + 1) / 2 * 2;
        linesOfStrip = Math.Min(linesOfStrip, lines);
        var windows = workspace.Floats((long)linesOfStrip * places * window);
        var sums = workspace.Floats((long)linesOfStrip * places * outputs);
        for (var first = 0; first < lines; first += linesOfStrip)
        {
            var count = Math.Min(linesOfStrip, lines - first);
            Gather(x, first, count, places, width + 2, windows);
            product.Apply(workspace, new(windows, window), count * places, sums, outputs);
            if (pools)
            {
                for (var line = 0; line < count; line += 2)
                    Pool(
                        sums + ((nint)line * places * outputs), places, hasSecondLine: line + 1 < count,
                        y + ((first + line) / 2 * lineOfY), add);
            }
            else
            {
                for (var line = 0; line < count; line++)
                    Finish(sums + ((nint)line * places * outputs), places, y + ((first + line) * lineOfY), add);
            }
        }
        workspace.Release(mark);
    }

    // The 3×3 pixels around every place of some lines, side by side: three pieces of three pixels each.
    private void Gather(float* x, int firstLine, int lines, int places, int widthOfX, float* windows)
    {
        var piece = Side * Inputs;
        var bytes = (uint)(piece * sizeof(float));
        for (var line = firstLine; line < firstLine + lines; line++)
        {
            for (var place = 0; place < places; place++)
            {
                var source = x + ((((nint)line * stride * widthOfX) + ((nint)place * stride)) * Inputs);
                for (var i = 0; i < Side; i++, source += (nint)widthOfX * Inputs, windows += piece)
                    Unsafe.CopyBlockUnaligned(windows, source, bytes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Pool(float* sums, int places, bool hasSecondLine, float* y, bool add)
    {
        var outputs = Outputs;
        var below = hasSecondLine ? (nint)places * outputs : 0;
        for (var place = 0; place < places; place += 2, y += outputs)
        {
            var source = sums + ((nint)place * outputs);
            var right = place + 1 < places ? outputs : 0;
            for (var i = 0; i < outputs; i += VectorMemory.Count)
            {
                var left = outputs - i;
                var most = Vector512.Max(
                    Vector512.Max(VectorMemory.Load(source + i, left), VectorMemory.Load(source + right + i, left)),
                    Vector512.Max(VectorMemory.Load(source + below + i, left), VectorMemory.Load(source + below + right + i, left)));
                Store(most, i, y + i, left, add);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Finish(float* sums, int places, float* y, bool add)
    {
        var outputs = Outputs;
        for (var place = 0; place < places; place++, sums += outputs, y += outputs)
        {
            for (var i = 0; i < outputs; i += VectorMemory.Count)
                Store(VectorMemory.Load(sums + i, outputs - i), i, y + i, outputs - i, add);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Store(Vector512<float> sums, int channel, float* y, int left, bool add)
    {
        var normed = Vector512.FusedMultiplyAdd(
            sums, VectorMemory.Load(scale.Address + channel, left), VectorMemory.Load(shift.Address + channel, left));
        normed = Vector512.Max(normed, Vector512<float>.Zero);
        if (add)
            normed += VectorMemory.Load(y, left);
        VectorMemory.Store(normed, y, left);
    }
}
