using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

[assembly: DoNotParallelize]   // libtorch uses all cores, and tests that count tensors must be alone

namespace Estimators.Tests;

[TestClass]
public static class TestAssembly
{
    /// <summary>
    /// Tests may touch torch before any type of the library. Their models are so small that a second thread only costs time, a lot of
    /// it on a busy machine.
    /// </summary>
    [AssemblyInitialize]
    public static void Initialize(TestContext _)
    {
        TorchRuntime.Initialize();
        TorchSharp.torch.set_num_threads(1);
    }
}
