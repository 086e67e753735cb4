using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Asks NVIDIA's driver what TorchSharp does not tell. Only for processes that use CUDA: the first question starts the driver.
/// </summary>
internal static unsafe class CudaDriver
{
    private const int ComputeCapabilityMajor = 75;   // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR of cuda.h

    /// <summary>
    /// The first number of a device's compute capability, 8 for an A100; null where there is no driver or no such device.
    /// </summary>
    /// <param name="device">The device's number, from 0, counted like torch's: both heed <c>CUDA_VISIBLE_DEVICES</c>.</param>
    public static int? GetComputeCapabilityMajor(int device)
    {
        if (!NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out var driver))
            return null;

        try
        {
            // Every function returns 0 for success. The driver's functions are fetched by hand because on most machines there is no such
            // library to import from.
            return NativeLibrary.TryGetExport(driver, "cuInit", out var initialize)
                && NativeLibrary.TryGetExport(driver, "cuDeviceGet", out var getDevice)
                && NativeLibrary.TryGetExport(driver, "cuDeviceGetAttribute", out var getAttribute)
                && ((delegate* unmanaged<uint, int>)initialize)(0) == 0
                && ((delegate* unmanaged<out int, int, int>)getDevice)(out var handle, device) == 0
                && ((delegate* unmanaged<out int, int, int, int>)getAttribute)(out var major, ComputeCapabilityMajor, handle) == 0
                    ? major
                    : null;
        }
        finally
        {
            NativeLibrary.Free(driver);   // torch holds it too
        }
    }
}
