using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>Makes libtorch, the native library behind TorchSharp, load.</summary>
/// <remarks>
/// Constructing anything of this library is enough. Call <see cref="Initialize"/> only in a program that uses TorchSharp's <c>torch</c>
/// before it uses this library, or to learn early, and in clear words, that libtorch is missing.
/// <para>
/// On Linux, three settings of the process change with it, because models run several times faster on the CPU: memory stays in the C
/// library's heap when it is freed (<c>mallopt</c>; the process keeps as much as it once needed, until <see cref="ReleaseFreedMemory"/>),
/// large blocks get 2 MB pages (<c>THP_MEM_ALLOC_ENABLE=1</c>), and OpenMP's threads sleep soon after an operation
/// (<c>GOMP_SPINCOUNT=1000</c>). What the environment already sets is kept. To switch this off, set the <see cref="AppContext"/> switch
/// <c>Microsoft.ML.MoE.TuneProcess</c> to false, in the project file by <c>&lt;RuntimeHostConfigurationOption
/// Include="Microsoft.ML.MoE.TuneProcess" Value="false" /&gt;</c>. It takes effect only before the first use of torch.
/// </para>
/// </remarks>
public static class TorchRuntime
{
    private static volatile bool loaded;

    /// <summary>
    /// Loads libtorch. On Linux systems whose libstdc++ is older than the one TorchSharp was built with (Debian 12, Ubuntu 22.04, RHEL 9),
    /// loads TorchSharp's native library from a private copy that runs there, kept in <c>$XDG_CACHE_HOME/moe-ml</c>
    /// (<c>~/.cache/moe-ml</c>). Does nothing when called again; safe to call from several threads.
    /// </summary>
    /// <exception cref="InvalidOperationException">libtorch cannot be loaded; the message says what was tried and which package to
    /// add.</exception>
    public static void Initialize()
    {
        if (loaded)
            return;

        Prepare();
        var trace = new List<string>();
        if (!NativeTorch.LoadsOrdinarily() && NativeTorch.TryLoad(trace) == 0)
            throw new InvalidOperationException(DescribeFailure(trace));
        loaded = true;
    }

    /// <summary>
    /// Gives memory that freed tensors have left in the C library's heap back to the operating system. Worth calling after a phase that
    /// needed much of it: a training, a model that is disposed. The next tensors cost page faults again, so not between the steps of a
    /// loop. Does nothing except on Linux with glibc. Safe to call from several threads.
    /// </summary>
    public static void ReleaseFreedMemory() => ProcessTuning.ReleaseFreedMemory();

    /// <summary>What must happen before the first use of torch. Loads nothing yet.</summary>
    internal static void Prepare()
    {
        ProcessTuning.Apply();
        NativeTorch.Subscribe();
    }

    // Not for libraries, as a rule. But TorchSharp's static constructor, once it has failed, fails for good: this must run before anything
    // of ours touches it.
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void OnAssemblyLoad()
    {
        try
        {
            Prepare();
        }
        catch (Exception e) when (e is FileNotFoundException or FileLoadException)
        {
            // TorchSharp.dll itself is missing. Whoever needs it will hear so; what does not need it should work.
        }
    }

    private static string DescribeFailure(List<string> trace)
    {
        var (architecture, platform, cuda) =
            OperatingSystem.IsLinux() ? (Architecture.X64, "linux-x64", "TorchSharp-cuda-linux")
            : OperatingSystem.IsMacOS() ? (Architecture.Arm64, "osx-arm64", null)
            : RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? (Architecture.Arm64, "win-arm64", null)
            : (Architecture.X64, "win-x64", "TorchSharp-cuda-windows");

        var lines = new List<string> { "libtorch, the native library that TorchSharp needs, cannot be loaded." };
        if (RuntimeInformation.ProcessArchitecture != architecture)
            lines.Add(
                $"There is none for {RuntimeInformation.RuntimeIdentifier}: supported are linux-x64, win-x64, win-arm64 and osx-arm64.");
        else
        {
            lines.Add(
                "If the application's project references no package that brings it, add TorchSharp-cpu in TorchSharp's version, "
                    + $"libtorch-cpu-{platform} "
                    + $"(what TorchSharp-cpu brings, for this platform alone){(cuda is null ? "" : $" or, for NVIDIA GPUs, {cuda}")}.");
        }

        if (trace.Count > 0)
            lines.Add($"What was tried:{Environment.NewLine}  {string.Join($"{Environment.NewLine}  ", trace)}");
        return string.Join(Environment.NewLine, lines);
    }
}
