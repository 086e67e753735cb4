using System.Runtime.Intrinsics.X86;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
public sealed class PrecisionTests
{
    [TestInitialize]
    public void Initialize() => TorchRuntime.Initialize();

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
    [DataRow(null, false)]
    [DataRow(0, false)]
    [DataRow(7, false)]
    [DataRow(8, true)]
    [DataRow(12, true)]
    public void Automatic_precision_on_cuda_follows_the_compute_capability(int? major, bool expected) =>
        Assert.AreEqual(expected, PrecisionExtensions.CudaMultipliesBFloat16(major));

    [TestMethod]
    public void A_cuda_device_that_does_not_exist_has_no_compute_capability_and_32_bits()
    {
        Assert.IsNull(CudaDriver.GetComputeCapabilityMajor(1000));
        Assert.AreEqual(ScalarType.Float32, Precision.Auto.Resolve(new Device(DeviceType.CUDA, 1000)));
    }

    [TestMethod]
    [RequiresCuda]
    [TestCategory("Cuda")]
    public void The_driver_tells_the_compute_capability()
    {
        var major = CudaDriver.GetComputeCapabilityMajor(0);
        Assert.IsInRange(3, 30, major!.Value);   // libtorch has no kernels for anything older
        Assert.AreEqual(major >= 8 ? ScalarType.BFloat16 : ScalarType.Float32, Precision.Auto.Resolve(CUDA));
    }
}
