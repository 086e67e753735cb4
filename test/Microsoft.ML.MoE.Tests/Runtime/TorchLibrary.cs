namespace Microsoft.ML.MoE.Tests.Runtime;

/// <summary>TorchSharp's native library as it lies in the test's folder.</summary>
internal static class TorchLibrary
{
    public static string Path => System.IO.Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so");
}
