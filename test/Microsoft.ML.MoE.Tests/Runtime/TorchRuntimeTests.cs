using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
public sealed class TorchRuntimeTests
{
    [TestMethod]
    public void Matrices_multiply_after_initialize()
    {
        TorchRuntime.Initialize();
        TorchRuntime.Initialize();

        using var scope = NewDisposeScope();
        var a = tensor(new float[] { 1, 2, 3, 4 }, [2, 2]);
        var b = tensor(new float[] { 5, 6, 7, 8 }, [2, 2]);
        CollectionAssert.AreEqual(new float[] { 19, 22, 43, 50 }, a.mm(b).data<float>().ToArray());
    }
}
