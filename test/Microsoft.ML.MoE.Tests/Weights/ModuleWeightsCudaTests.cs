using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Weights;

[TestClass]
public sealed class ModuleWeightsCudaTests
{
    [TestMethod]
    [RequiresCuda]
    [TestCategory("Cuda")]
    public void WeightsSavedOnAGpu_LoadOnTheCpuAndBack()
    {
        using var scope = NewDisposeScope();
        using var onGpu = nn.Linear(5, 3).cuda();
        using var onCpu = nn.Linear(5, 3);
        using var backOnGpu = nn.Linear(5, 3).cuda();
        using var file = new MemoryStream();

        ModuleWeights.Save(onGpu, file);
        file.Position = 0;
        ModuleWeights.Load(onCpu, file, file.Length);
        file.Position = 0;
        ModuleWeights.Load(backOnGpu, file, file.Length);

        Assert.IsTrue(onCpu.weight!.equal(onGpu.weight!.cpu()).all().item<bool>());
        Assert.AreEqual(DeviceType.CUDA, backOnGpu.weight!.device_type);
        Assert.IsTrue(backOnGpu.weight.equal(onGpu.weight).all().item<bool>());
    }
}
