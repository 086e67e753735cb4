using System.Runtime.InteropServices;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Runtime;

/// <summary>TorchSharp's native library as it lies in the test's folder.</summary>
internal static class TorchLibrary
{
    public static string Path => System.IO.Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so");

    public static void RequireLinux()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Libraries are edited on Linux only.");
    }

    /// <summary>Skips where libstdc++ is new enough for TorchSharp as it comes.</summary>
    public static void RequireOldSystem()
    {
        RequireLinux();
        MoE.Runtime.TorchRuntime.Initialize();
        if (NativeLibrary.TryLoad(Path, out _))
            Assert.Inconclusive("This system loads TorchSharp's library as it is.");
    }
}
