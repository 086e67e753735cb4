using System.Reflection;
using System.Runtime.InteropServices;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;

namespace Benchmarks;

/// <summary>What a figure depends on besides the code: to be quoted with it.</summary>
internal static partial class MachineDescription
{
    public static string Describe() =>
        $"""
            machine    {Processor()}, {Environment.ProcessorCount} cores, {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes
                / (1L << 30)} GiB, {RuntimeInformation.RuntimeIdentifier}
            software   {RuntimeInformation.FrameworkDescription}, libtorch {torch.__version__}, {Build()} build
            threads    {torch.get_num_threads()}{Waiting()}
            allocator  {Allocator()}
            commit     {Commit()}
            """;

    private static string Processor() =>
        File.Exists("/proc/cpuinfo")
        && File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal)) is { } line
            ? line[(line.IndexOf(':', StringComparison.Ordinal) + 2)..]
            : Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString();

    private static string Build()
    {
#if DEBUG
        return "Debug";
#else
        return "Release";
#endif
    }

    private static string Allocator()
    {
        if (!OperatingSystem.IsLinux())
            return "the system's";

        var tuned = !(AppContext.TryGetSwitch(ProcessTuning.Switch, out var enabled) && !enabled);
        var fromEnvironment = new[] { "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES" }
            .Where(name => Native(name) is not null)
            .ToArray();
        var heap =
            fromEnvironment.Length > 0 ? $"heap as {string.Join(", ", fromEnvironment)} says"
            : tuned ? "freed memory kept"
            : "the C library's default";
        return $"{heap}, THP_MEM_ALLOC_ENABLE={Native("THP_MEM_ALLOC_ENABLE") ?? "not set"}; the same for both sides";
    }

    private static string Waiting() =>
        OperatingSystem.IsLinux()
            ? $", OMP_WAIT_POLICY={Native("OMP_WAIT_POLICY") ?? "not set"}, GOMP_SPINCOUNT={Native("GOMP_SPINCOUNT") ?? "not set"}"
            : "";

    /// <summary>A variable as native code sees it; .NET keeps the value that the process was started with.</summary>
    private static string? Native(string name) => Marshal.PtrToStringUTF8(GetEnvironmentVariable(name));

    private static string Commit()
    {
        var version = typeof(TorchRuntime).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
            ?? string.Empty;
        return version.IndexOf('+', StringComparison.Ordinal) is >= 0 and var plus ? version[(plus + 1)..] : "unknown";
    }

    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial IntPtr GetEnvironmentVariable(string name);
}
