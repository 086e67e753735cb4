using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Classification;

[TestClass]
public sealed class DeviceSelectionTests
{
    [TestMethod]
    public void WithoutAGpuNumber_TheCpuIsUsed()
    {
        Assert.AreEqual(DeviceType.CPU, DeviceSelection.Select(null, fallbackToCpu: false).type);
        Assert.AreEqual(DeviceType.CPU, DeviceSelection.Select(null, fallbackToCpu: true).type);
    }

    [TestMethod]
    public void AGpuThatExists_IsUsed()
    {
        var device = DeviceSelection.Select(1, fallbackToCpu: false, deviceCount: 2);
        Assert.AreEqual((DeviceType.CUDA, 1), (device.type, device.index));
    }

    [TestMethod]
    [DataRow(0, 0)]
    [DataRow(2, 2)]
    [DataRow(-1, 2)]
    public void AGpuThatDoesNotExist_IsRefusedOrReplacedByTheCpu(int gpuDeviceId, int deviceCount)
    {
        Assert.AreEqual(DeviceType.CPU, DeviceSelection.Select(gpuDeviceId, fallbackToCpu: true, deviceCount).type);

        var error = Assert.ThrowsExactly<InvalidOperationException>(() =>
            DeviceSelection.Select(gpuDeviceId, fallbackToCpu: false, deviceCount));
        Assert.Contains($"GpuDeviceId is {gpuDeviceId}", error.Message);
        Assert.Contains("FallbackToCpu", error.Message);
        Assert.Contains(deviceCount == 0 ? "no CUDA device" : "use 0 to 1", error.Message);
    }

    [TestMethod]
    public void AGpuNumberBeyondThoseOfThisMachine_IsRefused() =>
        _ = Assert.ThrowsExactly<InvalidOperationException>(() => DeviceSelection.Select(1000, fallbackToCpu: false));
}
