using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// How much memory the process can still take, asked before something of gigabytes is made: the system would end the process in the middle
/// of it, or swap.
/// </summary>
internal static class AvailableMemory
{
    private const long SmallestAsked = 64L << 20;   // below, asking costs more than it saves

    /// <summary>Throws where an amount of memory is not there.</summary>
    /// <param name="bytes">The amount.</param>
    /// <param name="purpose">What it is for, as in "2 tables of 1,024 experts"; the error begins with it.</param>
    /// <param name="device">Where it is needed; nothing is known of devices other than the CPU, which answer themselves.</param>
    /// <exception cref="InvalidOperationException">It is not there.</exception>
    public static void Require(long bytes, string purpose, Device? device = null)
    {
        if (bytes < SmallestAsked || (device is not null && device.type != DeviceType.CPU))
            return;
        var available = Bytes();
        if (bytes > available)
        {
            ProcessTuning.ReleaseFreedMemory();   // what freed tensors have left in the heap is used again, but does not count as available
            available = Bytes();
        }

        if (bytes > available)
            throw new InvalidOperationException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{purpose}: {Gigabytes(bytes)} GB of memory are needed, and {Gigabytes(available)} GB are available."));
    }

    /// <summary>A number of bytes in units of 10⁹, for messages.</summary>
    public static string Gigabytes(long bytes) => (bytes / 1e9).ToString("F1", CultureInfo.InvariantCulture);

    private static long Bytes()
    {
        var limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes - Environment.WorkingSet;   // of the container, or the machine
        return Math.Max(0, Math.Min(limit, ReadSystem() ?? limit));
    }

    // Linux's own estimate, which other processes count in.
    private static long? ReadSystem()
    {
        const string File = "/proc/meminfo", Line = "MemAvailable:";
        if (!OperatingSystem.IsLinux() || !System.IO.File.Exists(File))
            return null;
        var value = System
            .IO.File.ReadLines(File)
            .FirstOrDefault(line => line.StartsWith(Line, StringComparison.Ordinal))
            ?[Line.Length..].Replace("kB", "", StringComparison.Ordinal);
        return long.TryParse(
            value, NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out var kilobytes)
            ? kilobytes * 1024
            : null;
    }
}
