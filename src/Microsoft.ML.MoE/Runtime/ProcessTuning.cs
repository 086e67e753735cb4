using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Settings of native libraries that libtorch depends on, on Linux, where their defaults do not suit training on a CPU.
/// <para>
/// Memory: the C library returns every large block to the kernel when it is freed, and the page faults of the next tensor cost more than
/// the arithmetic done on it. Threads: OpenMP's threads keep spinning for milliseconds after each operation. With two cores and one other
/// busy process that makes a training step ten times slower.
/// </para>
/// </summary>
internal static partial class ProcessTuning
{
    /// <summary>The <see cref="AppContext"/> switch that, set to false, leaves the process as it is.</summary>
    public const string Switch = "Microsoft.ML.MoE.TuneProcess";

    private const string HugePages = "THP_MEM_ALLOC_ENABLE";
    private const string SpinCount = "GOMP_SPINCOUNT";
    private const string ShortSpin = "1000";   // what OpenMP itself takes when it knows of more threads than cores
    private const int TrimThreshold = -1;   // M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_MMAP_MAX of malloc.h
    private const int MmapThreshold = -3;
    private const int MmapMax = -4;
    private const long SmallestRelease = 1L << 30;
    private const int LargestMmapThreshold = 32 << 20;   // glibc takes no more

    /// <summary>
    /// Memory comes from the heap. It keeps what is freed below a block that is still used, however much that is, and up to 2 GB at its
    /// end: about what the process needed at once, until <see cref="ReleaseFreedMemory"/>. libtorch backs large blocks with 2 MB pages;
    /// OpenMP's threads sleep soon. What the process was started with stays; a variable that the program has set through
    /// <see cref="Environment"/>, which native code does not see, is handed on. Variables are read once, when their library loads.
    /// </summary>
    public static void Apply()
    {
        if (!OperatingSystem.IsLinux() || (AppContext.TryGetSwitch(Switch, out var enabled) && !enabled))
            return;

        try
        {
            Default(HugePages, "1");
            if (!IsSet("OMP_WAIT_POLICY"))
                Default(SpinCount, ShortSpin);
            if (!IsSet("MALLOC_MMAP_THRESHOLD_") && !IsSet("MALLOC_TRIM_THRESHOLD_") && !IsSet("GLIBC_TUNABLES"))
            {
                _ = SetAllocatorOption(MmapThreshold, LargestMmapThreshold);
                _ = SetAllocatorOption(TrimThreshold, int.MaxValue);
                // Above the threshold too: a large model's gradients would be mapped and zeroed anew every step.
                _ = SetAllocatorOption(MmapMax, 0);
            }
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            // Another C library: everything works as before, only slower.
        }
    }

    /// <summary>
    /// Returns to the kernel every whole page that the C library's heap keeps free. Does nothing where it has no such function.
    /// </summary>
    public static void ReleaseFreedMemory()
    {
        if (!OperatingSystem.IsLinux())
            return;

        try
        {
            _ = TrimHeap(0);
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            // Another C library, which was not told to keep anything.
        }
    }

    /// <summary>
    /// Calls <see cref="ReleaseFreedMemory"/> where the process holds more than twice what its native blocks take, and a gigabyte. To be
    /// called where large blocks are about to be made: the heap does not always find the room of a freed block for one of the same size,
    /// which has to be aligned, and grows.
    /// </summary>
    public static void ReleaseFreedMemoryIfMostIsFree()
    {
        if (!OperatingSystem.IsLinux())
            return;

        try
        {
            var held = Environment.WorkingSet - GC.GetGCMemoryInfo().TotalCommittedBytes;
            if (held > SmallestRelease && held > SmallestRelease + (2 * (long)DescribeHeap().InUse))
                ReleaseFreedMemory();
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            // A C library that does not tell.
        }
    }

    private static void Default(string variable, string value) =>
        _ = SetEnvironmentVariable(variable, Environment.GetEnvironmentVariable(variable) ?? value, overwrite: 0);

    private static bool IsSet(string variable) => Environment.GetEnvironmentVariable(variable) is not null;

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironmentVariable(string name, string value, int overwrite);

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetAllocatorOption(int option, int value);

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int TrimHeap(nuint keptAtItsEnd);

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial HeapDescription DescribeHeap();

    // mallinfo2 of malloc.h: ten numbers, of which two are wanted, hblkhd and uordblks.
    [StructLayout(LayoutKind.Explicit, Size = 80)]
    private readonly struct HeapDescription
    {
        [FieldOffset(32)]
        private readonly nuint mapped;

        [FieldOffset(56)]
        private readonly nuint inHeap;

        /// <summary>Bytes of blocks in use, in the heap and in mappings of their own.</summary>
        public nuint InUse => mapped + inHeap;
    }
}
