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
        machine    {Processor()}, {Environment.ProcessorCount} cores, {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (1L << 30)} GiB, {RuntimeInformation.RuntimeIdentifier}
        software   {RuntimeInformation.FrameworkDescription}, libtorch {torch.__version__}, {Build()} build
        threads    {torch.get_num_threads()}
        allocator  {Allocator()}
        commit     {Commit()}
        """;

    private static string Processor() =>
        File.Exists("/proc/cpuinfo") && File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal)) is { } line
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
        var hugePages = Marshal.PtrToStringUTF8(GetEnvironmentVariable("THP_MEM_ALLOC_ENABLE"));   // native code's view: the runtime's own is older
        return AppContext.TryGetSwitch(AllocatorTuning.Switch, out var tuned) && !tuned
            ? $"not tuned ({AllocatorTuning.Switch} is false)"
            : $"tuned, for both sides alike (THP_MEM_ALLOC_ENABLE={hugePages}, freed blocks below 32 MB kept)";
    }

    private static string Commit()
    {
        var version = typeof(TorchRuntime).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? string.Empty;
        return version.IndexOf('+', StringComparison.Ordinal) is >= 0 and var plus ? version[(plus + 1)..] : "unknown";
    }

    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial IntPtr GetEnvironmentVariable(string name);
}
