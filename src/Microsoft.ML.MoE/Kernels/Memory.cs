using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>Where tensors lie in memory.</summary>
internal static class Memory
{
    /// <summary>
    /// The address of the first number of a contiguous tensor on the CPU. Keep the tensor alive while it is used
    /// (<see cref="GC.KeepAlive"/>).
    /// </summary>
    public static unsafe void* Address(Tensor tensor)
    {
        if (tensor.device.type != DeviceType.CPU || !tensor.is_contiguous())
            throw new ArgumentException(
                "A contiguous tensor on the CPU is wanted; this one is on "
                    + $"{tensor.device}{(tensor.is_contiguous() ? "" : " and not contiguous")}.");
        if (tensor.NumberOfElements == 0)
            return null;

        if (tensor.NumberOfElements * tensor.element_size() <= int.MaxValue)
            return Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));
        using var first = tensor.detach().view(-1).narrow(0, 0, 1);   // `bytes` of the whole would stop at 2 GB
        return Unsafe.AsPointer(ref first.bytes[0]);
    }

    /// <summary>The address of the first number of a contiguous float32 tensor on the CPU.</summary>
    public static unsafe float* Floats(Tensor tensor) =>
        HoldsFloats(tensor)
            ? (float*)Address(tensor)
            : throw new ArgumentException($"A float32 tensor on the CPU is wanted; this one is {tensor.dtype} on {tensor.device}.");

    /// <summary>Whether a tensor's numbers are float32 in the CPU's memory.</summary>
    public static bool HoldsFloats(Tensor tensor) => tensor.device_type == DeviceType.CPU && tensor.dtype == ScalarType.Float32;

    /// <summary>The address of the first number of a contiguous bfloat16 tensor on the CPU.</summary>
    public static unsafe ushort* Halves(Tensor tensor) =>
        tensor.dtype == ScalarType.BFloat16
            ? (ushort*)Address(tensor)
            : throw new ArgumentException($"A bfloat16 tensor is wanted; this one is {tensor.dtype}.");

    /// <summary>The address of the first number of a contiguous int64 tensor on the CPU.</summary>
    public static unsafe long* Longs(Tensor tensor) =>
        tensor.dtype == ScalarType.Int64
            ? (long*)Address(tensor)
            : throw new ArgumentException($"An int64 tensor is wanted; this one is {tensor.dtype}.");

    /// <summary>
    /// A view of a parameter, for operations whose backward pass makes the gradient in managed code. The view's own backward pass hands on
    /// a tensor that nothing else holds, which autograd takes for the parameter's gradient as it is; of one that managed code still holds
    /// it would make a copy.
    /// </summary>
    public static Tensor Unshared(Tensor parameter) => parameter.view(parameter.shape);
}
