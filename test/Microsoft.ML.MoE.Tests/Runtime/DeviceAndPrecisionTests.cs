using System.Runtime.Intrinsics.X86;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
public sealed class DeviceAndPrecisionTests
{
    [TestInitialize]
    public void Initialize() => TorchRuntime.Initialize();

    [TestMethod]
    public void Without_a_gpu_number_the_cpu_is_used()
    {
        Assert.AreEqual(DeviceType.CPU, DeviceSelection.Select(null, fallbackToCpu: false).type);
        Assert.AreEqual(DeviceType.CPU, DeviceSelection.Select(null, fallbackToCpu: true).type);
    }

    [TestMethod]
    public void A_gpu_that_exists_is_used()
    {
        var device = DeviceSelection.Select(1, fallbackToCpu: false, deviceCount: 2);
        Assert.AreEqual((DeviceType.CUDA, 1), (device.type, device.index));
    }

    [TestMethod]
    [DataRow(0, 0)]
    [DataRow(2, 2)]
    [DataRow(-1, 2)]
    public void A_gpu_that_does_not_exist_is_refused_or_replaced_by_the_cpu(int gpuDeviceId, int deviceCount)
    {
        Assert.AreEqual(DeviceType.CPU, DeviceSelection.Select(gpuDeviceId, fallbackToCpu: true, deviceCount).type);

        var error = Assert.ThrowsExactly<InvalidOperationException>(() => DeviceSelection.Select(gpuDeviceId, fallbackToCpu: false, deviceCount));
        Assert.Contains($"GpuDeviceId is {gpuDeviceId}", error.Message);
        Assert.Contains("FallbackToCpu", error.Message);
        Assert.Contains(deviceCount == 0 ? "no CUDA device" : "use 0 to 1", error.Message);
    }

    [TestMethod]
    public void A_gpu_number_beyond_those_of_this_machine_is_refused() =>
        _ = Assert.ThrowsExactly<InvalidOperationException>(() => DeviceSelection.Select(1000, fallbackToCpu: false));

    [TestMethod]
    public void A_precision_that_is_asked_for_is_given_everywhere()
    {
        foreach (var device in new[] { CPU, new Device(DeviceType.CUDA, 0) })
        {
            Assert.AreEqual(ScalarType.Float32, Precision.Float32.Resolve(device));
            Assert.AreEqual(ScalarType.BFloat16, Precision.BFloat16.Resolve(device));
        }

        _ = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => ((Precision)9).Resolve(CPU));
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void Automatic_precision_on_the_cpu_agrees_with_what_linux_says_of_it()
    {
        var flags = File.ReadLines("/proc/cpuinfo").First(line => line.StartsWith("flags", StringComparison.Ordinal)).Split(' ');
        var expected = Avx512F.IsSupported && (flags.Contains("avx512_bf16") || flags.Contains("amx_bf16"));
        Assert.AreEqual(expected ? ScalarType.BFloat16 : ScalarType.Float32, Precision.Auto.Resolve(CPU));
    }

    [TestMethod]
    public void Automatic_precision_on_cuda_is_32_bits() =>
        Assert.AreEqual(ScalarType.Float32, Precision.Auto.Resolve(new Device(DeviceType.CUDA, 0)));
}
