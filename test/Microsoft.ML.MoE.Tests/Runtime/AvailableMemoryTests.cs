using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
public sealed class AvailableMemoryTests
{
    [TestMethod]
    public void WhatIsNotThereIsRefusedWithBothNumbers()
    {
        var error = Assert.ThrowsExactly<InvalidOperationException>(() => AvailableMemory.Require(1L << 50, "The optimizer of a table"));
        StringAssert.Matches(
            error.Message, new(@"^The optimizer of a table: 1125899\.9 GB of memory are needed, and \d+\.\d GB are available\.$"));
    }

    [TestMethod]
    public void WhatIsThereAndWhatOtherDevicesHaveIsNot()
    {
        AvailableMemory.Require(100 << 20, "A table");
        AvailableMemory.Require(1L << 50, "A table", new Device(DeviceType.CUDA));
    }
}
