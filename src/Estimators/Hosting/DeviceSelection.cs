using Microsoft.ML.MoE.Runtime;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Turns ML.NET's two device options, <see cref="MLContext.GpuDeviceId"/> and <see cref="MLContext.FallbackToCpu"/>, into a torch device.
/// </summary>
internal static class DeviceSelection
{
    /// <summary>Chooses the device.</summary>
    /// <param name="gpuDeviceId">The CUDA device's number, from 0; null for the CPU.</param>
    /// <param name="fallbackToCpu">Whether the CPU is used when there is no such CUDA device.</param>
    /// <exception cref="InvalidOperationException">There is no such CUDA device and the CPU is not allowed instead, or libtorch cannot be
    /// loaded.</exception>
    public static Device Select(int? gpuDeviceId, bool fallbackToCpu)
    {
        TorchRuntime.Initialize();
        return gpuDeviceId is null ? CPU : Select(gpuDeviceId.Value, fallbackToCpu, cuda.is_available() ? cuda.device_count() : 0);
    }

    internal static Device Select(int gpuDeviceId, bool fallbackToCpu, int deviceCount)
    {
        if (gpuDeviceId >= 0 && gpuDeviceId < deviceCount)
            return new Device(TorchSharp.DeviceType.CUDA, gpuDeviceId);
        if (fallbackToCpu)
            return CPU;

        throw new InvalidOperationException(
            deviceCount == 0
                ? $"MLContext.GpuDeviceId is {gpuDeviceId}, but libtorch finds no CUDA device. "
                    + "Install a CUDA build of libtorch (package TorchSharp-cuda-linux or TorchSharp-cuda-windows) and the GPU's driver, "
                    + "set GpuDeviceId to null, or set FallbackToCpu to true."
                : $"MLContext.GpuDeviceId is {gpuDeviceId}, but libtorch finds {deviceCount} CUDA device(s): use 0 to {deviceCount - 1}, "
                    + "set GpuDeviceId to null, or set FallbackToCpu to true.");
    }
}
