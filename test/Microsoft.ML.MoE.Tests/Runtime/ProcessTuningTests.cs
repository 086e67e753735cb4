using System.Runtime.InteropServices;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
public sealed partial class ProcessTuningTests
{
    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void ATensorOfSomeMegabytesLiesInTheHeap()
    {
        var before = GetAllocatorInfo();
        using var tensor = ones(4 << 20);   // 16 MB: by default a mapping of its own
        var after = GetAllocatorInfo();
        Assert.AreEqual(before.MappedBytes, after.MappedBytes);
        Assert.AreEqual(4 << 20, tensor.sum().item<float>());
    }

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial AllocatorInfo GetAllocatorInfo();

    /// <summary>glibc's <c>struct mallinfo2</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct AllocatorInfo
    {
        public nuint Arena;
        public nuint FreeChunks;
        public nuint FastChunks;
        public nuint MappedBlocks;
        public nuint MappedBytes;
        public nuint Unused;
        public nuint FastBytes;
        public nuint UsedBytes;
        public nuint FreeBytes;
        public nuint TopBytes;
    }
}
