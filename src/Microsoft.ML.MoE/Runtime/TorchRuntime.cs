using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>Makes libtorch, the native library behind TorchSharp, load.</summary>
/// <remarks>
/// Constructing anything of this library is enough. Call <see cref="Initialize"/> only in a program that uses TorchSharp's <c>torch</c> before it uses this
/// library, or to learn early, and in clear words, that libtorch is missing.
/// <para>
/// On Linux, libtorch is also told to use 2 MB pages for large tensors (<c>THP_MEM_ALLOC_ENABLE=1</c>), which makes most models on the CPU several times faster.
/// A value that the environment already has is kept. To switch this off, set the <see cref="AppContext"/> switch
/// <c>Microsoft.ML.MoE.TransparentHugePages</c> to false, in the project file by
/// <c>&lt;RuntimeHostConfigurationOption Include="Microsoft.ML.MoE.TransparentHugePages" Value="false" /&gt;</c>.
/// Both take effect only before the first use of torch.
/// </para>
/// </remarks>
public static class TorchRuntime
{
    /// <summary>
    /// Loads libtorch. On Linux systems whose libstdc++ is older than the one TorchSharp was built with (Debian 12, Ubuntu 22.04, RHEL 9), loads TorchSharp's
    /// native library from a private copy that runs there, kept in <c>$XDG_CACHE_HOME/moe-ml</c> (<c>~/.cache/moe-ml</c>).
    /// Does nothing when called again; safe to call from several threads.
    /// </summary>
    /// <exception cref="InvalidOperationException">libtorch cannot be loaded; the message says what was tried and which package to add.</exception>
    public static void Initialize()
    {
        Prepare();
        if (NativeTorch.LoadsOrdinarily())
            return;

        var trace = new List<string>();
        if (NativeTorch.TryLoad(trace) == 0)
            throw new InvalidOperationException(DescribeFailure(trace));
    }

    /// <summary>What must happen before the first use of torch; loads nothing yet and never throws.</summary>
    internal static void Prepare()
    {
        TransparentHugePages.Enable();
        NativeTorch.Subscribe();
    }

#pragma warning disable CA2255 // A library should not have module initializers: this one must run before any module of ours is constructed, because TorchSharp's static constructor fails for good if it runs first.
    [ModuleInitializer]
    internal static void OnAssemblyLoad() => Prepare();
#pragma warning restore CA2255

    private static string DescribeFailure(List<string> trace)
    {
        var platform = RuntimeInformation.RuntimeIdentifier;
        var supported = OperatingSystem.IsLinux() ? (Architecture.X64, "linux-x64")
            : OperatingSystem.IsMacOS() ? (Architecture.Arm64, "osx-arm64")
            : RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? (Architecture.Arm64, "win-arm64")
            : (Architecture.X64, "win-x64");
        var (architecture, package) = supported;

        var advice = RuntimeInformation.ProcessArchitecture == architecture
            ? $"Add one of these packages to the application's project, in the version that TorchSharp asks for: TorchSharp-cpu, libtorch-cpu-{package} (the same for this platform alone)"
              + (OperatingSystem.IsMacOS() ? "." : $", TorchSharp-cuda-{(OperatingSystem.IsLinux() ? "linux" : "windows")} (with CUDA).")
            : $"There is no libtorch package for {platform}; supported are linux-x64, win-x64, win-arm64 and osx-arm64.";

        return $"libtorch, which TorchSharp needs, cannot be loaded. {advice}"
            + (trace.Count == 0 ? "" : $"{Environment.NewLine}What was tried:{Environment.NewLine}  {string.Join($"{Environment.NewLine}  ", trace)}");
    }
}
