using System.Globalization;
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

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public async Task MemoryBelowALivingTensorGoesBackOnRequest()
    {
        var output = await ChildProcess.Run(
            "released memory", [("MALLOC_MMAP_THRESHOLD_", null), ("MALLOC_TRIM_THRESHOLD_", null), ("GLIBC_TUNABLES", null)]);

        var megabytes = output.Split(' ').Select(number => int.Parse(number, CultureInfo.InvariantCulture)).ToArray();
        var (before, full, freed, released) = (megabytes[0], megabytes[1], megabytes[2], megabytes[3]);
        Assert.IsGreaterThan(380, full - before, output);
        Assert.IsGreaterThan(380, freed - before, $"the heap keeps it: {output}");
        Assert.IsGreaterThan(350, freed - released, output);
        Assert.AreEqual(1000, megabytes[4]);
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    [DataRow("released memory, if most is free", true)]
    [DataRow("released memory, if most is free, and little is", false)]
    public async Task MemoryGoesBackByItselfWhereMostOfMuchIsFree(string scenario, bool goesBack)
    {
        var output = await ChildProcess.Run(
            scenario, [("MALLOC_MMAP_THRESHOLD_", null), ("MALLOC_TRIM_THRESHOLD_", null), ("GLIBC_TUNABLES", null)]);

        var megabytes = output.Split(' ').Select(number => int.Parse(number, CultureInfo.InvariantCulture)).ToArray();
        var (freed, released) = (megabytes[2], megabytes[3]);
        if (goesBack)
            Assert.IsGreaterThan(1400, freed - released, output);
        else
            Assert.IsLessThan(50, freed - released, output);
        Assert.AreEqual(1000, megabytes[4]);
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
