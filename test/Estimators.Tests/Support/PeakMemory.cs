using System.Diagnostics;

namespace Estimators.Tests.Support;

/// <summary>The most memory that the process had in use, native memory included.</summary>
internal static class PeakMemory
{
    /// <summary>Bytes since the last <see cref="Reset"/>.</summary>
    public static long Bytes
    {
        get
        {
            using var process = Process.GetCurrentProcess();
            return process.PeakWorkingSet64;
        }
    }

    /// <summary>Starts anew from what is in use now. Only Linux can; elsewhere the peak is that of the process's life.</summary>
    public static void Reset()
    {
        if (File.Exists("/proc/self/clear_refs"))
            File.WriteAllText("/proc/self/clear_refs", "5");   // proc(5): resets VmHWM
    }
}
