// Memory for images that go to the model together.
//
// Axes: N = images, C = channels, H = height, W = width.

using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A tensor on the CPU that is filled image by image. It may be larger than 2 GB, where no span reaches from end to end.</summary>
/// <remarks>The spans do not keep the memory: the buffer must stay alive while they are used (<see cref="GC.KeepAlive"/>).</remarks>
internal sealed unsafe class ImageBuffer : IDisposable
{
    private readonly Tensor numbers_NCHW;
    private readonly byte* address;
    private readonly int bytesPerImage;

    /// <summary>Takes memory for images of a column.</summary>
    public ImageBuffer(ImageColumn column, int capacity)
    {
        using var scope = NewDisposeScope();
        var shape = column.Shape;
        numbers_NCHW = empty([capacity, shape.Channels, shape.Height, shape.Width], dtype: column.NumberType);
        address = (byte*)Memory.Address(numbers_NCHW);
        numbers_NCHW.DetachFromDisposeScope();
        bytesPerImage = column.ByteCount;
        Capacity = capacity;
    }

    /// <summary>Images that there is room for.</summary>
    public int Capacity { get; }

    /// <summary>The memory of one image, as an <see cref="ImageReader"/> writes it.</summary>
    public Span<byte> this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Capacity);
            return new(address + ((long)index * bytesPerImage), bytesPerImage);
        }
    }

    /// <summary>The first number of an image.</summary>
    public void* Address(int index) => address + ((long)index * bytesPerImage);

    /// <summary>Type of the numbers, uint8 or float32.</summary>
    public ScalarType NumberType => numbers_NCHW.dtype;

    /// <summary>The first images, as a view of the buffer.</summary>
    public Tensor First(int count) => numbers_NCHW.narrow(0, 0, count);

    /// <inheritdoc/>
    public void Dispose() => numbers_NCHW.Dispose();
}
