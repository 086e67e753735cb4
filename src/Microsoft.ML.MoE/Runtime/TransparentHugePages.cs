using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Has libtorch back its large CPU tensors with 2 MB pages on Linux. The C library returns every large tensor to the kernel when it is freed, and with 4 KB
/// pages the page faults of the next one cost more than the arithmetic done on it.
/// </summary>
internal static partial class TransparentHugePages
{
    /// <summary>The <see cref="AppContext"/> switch that, set to false, leaves libtorch's allocator as it is.</summary>
    public const string Switch = "Microsoft.ML.MoE.TransparentHugePages";

    private const string Variable = "THP_MEM_ALLOC_ENABLE";

    /// <summary>
    /// Sets the environment variable that libtorch reads, once, at its first large allocation. A value that the process was started with stays; one that the
    /// program has set through <see cref="Environment"/>, which native code does not see, is handed on.
    /// </summary>
    public static void Enable()
    {
        if (!OperatingSystem.IsLinux() || (AppContext.TryGetSwitch(Switch, out var enabled) && !enabled))
            return;

        try
        {
            _ = SetEnvironmentVariable(Variable, Environment.GetEnvironmentVariable(Variable) ?? "1", overwrite: 0);
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            // A C library of another name: everything works as before, only slower.
        }
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironmentVariable(string name, string value, int overwrite);
}
