using System.Runtime.InteropServices;
using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads images that are vectors of numbers.</summary>
internal sealed class VectorReader<T>(ValueGetter<VBuffer<T>> getter, ImageColumn column) : ImageReader(column)
    where T : unmanaged
{
    private VBuffer<T> values;
    private T[] dense = [];

    private protected override bool TryGet(Span<byte> destination)
    {
        getter(ref values);
        return values.Length > 0;   // an array that is null
    }

    private protected override bool TryTake(Span<byte> destination)
    {
        RequireLength(values.Length, Column.Shape.Length, $"images ({Column.Shape}) have");
        var target = MemoryMarshal.Cast<byte, T>(destination);
        if (Column.ChannelsLast)
        {
            if (dense.Length == 0)
                dense = new T[values.Length];
            values.CopyTo(dense);
            ToChannelsFirst(dense, target);
        }
        else if (values.IsDense)
        {
            values.GetValues().CopyTo(target);
        }
        else
        {
            target.Clear();
            var indices = values.GetIndices();
            var present = values.GetValues();
            for (var i = 0; i < indices.Length; i++)
                target[indices[i]] = present[i];
        }

        return typeof(T) != typeof(float) || AllFinite(MemoryMarshal.Cast<T, float>(target));
    }

    private void ToChannelsFirst(ReadOnlySpan<T> source_HWC, Span<T> target_CHW)
    {
        var channels = Column.Shape.Channels;
        var pixels = Column.Shape.Height * Column.Shape.Width;
        for (var channel = 0; channel < channels; channel++)
        {
            var plane = target_CHW.Slice(channel * pixels, pixels);
            for (var pixel = 0; pixel < plane.Length; pixel++)
                plane[pixel] = source_HWC[(pixel * channels) + channel];
        }
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
