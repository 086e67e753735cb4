using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

[assembly: DoNotParallelize]   // libtorch uses all cores, and tests that count tensors or read the global generator must be alone

namespace Microsoft.ML.MoE.Tests;

[TestClass]
public static class TestAssembly
{
    /// <summary>Tests may touch torch before any type of the library.</summary>
    [AssemblyInitialize]
    public static void Initialize(TestContext _) => TorchRuntime.Initialize();
}
