using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Keeps the memory of freed CPU tensors for the next ones on Linux. By default the C library returns every large block to the kernel when it is freed, and the page
/// faults of the next tensor cost more than the arithmetic done on it.
/// </summary>
internal static partial class AllocatorTuning
{
    /// <summary>The <see cref="AppContext"/> switch that, set to false, leaves the allocator as it is.</summary>
    public const string Switch = "Microsoft.ML.MoE.TuneAllocator";

    private const string HugePages = "THP_MEM_ALLOC_ENABLE";
    private const int TrimThreshold = -1;   // M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    private const int MmapThreshold = -3;
    private const int LargestMmapThreshold = 32 << 20;   // glibc takes no more

    /// <summary>
    /// Blocks below 32 MB come from the heap, which keeps up to 2 GB of what is freed at its end, and libtorch backs larger ones with 2 MB pages (it reads its variable
    /// once, at its first large allocation). What the process was started with stays; a variable that the program has set through <see cref="Environment"/>, which native
    /// code does not see, is handed on.
    /// </summary>
    public static void Apply()
    {
        if (!OperatingSystem.IsLinux() || (AppContext.TryGetSwitch(Switch, out var enabled) && !enabled))
            return;

        try
        {
            _ = SetEnvironmentVariable(HugePages, Environment.GetEnvironmentVariable(HugePages) ?? "1", overwrite: 0);
            if (!IsSet("MALLOC_MMAP_THRESHOLD_") && !IsSet("MALLOC_TRIM_THRESHOLD_") && !IsSet("GLIBC_TUNABLES"))
            {
                _ = SetAllocatorOption(MmapThreshold, LargestMmapThreshold);
                _ = SetAllocatorOption(TrimThreshold, int.MaxValue);
            }
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            // Another C library: everything works as before, only slower.
        }
    }

    private static bool IsSet(string variable) => Environment.GetEnvironmentVariable(variable) is not null;

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironmentVariable(string name, string value, int overwrite);

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetAllocatorOption(int option, int value);
}
