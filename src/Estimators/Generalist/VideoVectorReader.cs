using System.Runtime.InteropServices;
using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads videos that are vectors of numbers in the order frames, height, width, channels.</summary>
/// <param name="getter">Gets the current row's vector.</param>
/// <param name="frame">What a frame is.</param>
/// <param name="frames">Frames of a video.</param>
internal sealed class VideoVectorReader<T>(ValueGetter<VBuffer<T>> getter, ImageColumn frame, int frames) : ImageReader(frame)
    where T : unmanaged
{
    private readonly T[] dense_FHWC = new T[frames * frame.Shape.Length];
    private VBuffer<T> values;

    private protected override bool TryGet(Span<byte> destination)
    {
        getter(ref values);
        return values.Length > 0;   // an array that is null
    }

    private protected override bool TryTake(Span<byte> destination)
    {
        RequireLength(values.Length, dense_FHWC.Length, $"videos ({frames} frames of {Column.Shape}) have");
        values.CopyTo(dense_FHWC);

        var target_FCHW = MemoryMarshal.Cast<byte, T>(destination);
        var (channels, pixels) = (Column.Shape.Channels, Column.Shape.Height * Column.Shape.Width);
        for (var image = 0; image < frames; image++)
        {
            for (var channel = 0; channel < channels; channel++)
            {
                var start = ((image * channels) + channel) * pixels;
                for (var pixel = 0; pixel < pixels; pixel++)
                    target_FCHW[start + pixel] = dense_FHWC[(((image * pixels) + pixel) * channels) + channel];
            }
        }
        return typeof(T) != typeof(float) || AllFinite(MemoryMarshal.Cast<T, float>(dense_FHWC.AsSpan()));
    }

    private static bool AllFinite(ReadOnlySpan<float> numbers)
    {
        foreach (var number in numbers)
        {
            if (!float.IsFinite(number))
                return false;
        }
        return true;
    }
}
