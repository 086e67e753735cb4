using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// How many threads libtorch's operators take when this thread calls them. libtorch's own setting is the process's; OpenMP keeps a number
/// for every thread.
/// </summary>
internal static unsafe class OpenMp
{
    private static readonly (nint SetThreads, nint GetThreads, nint SetMklThreads) Functions = Find();

    /// <summary>
    /// Has this thread's operators run on this thread alone until the result is disposed, on the same thread. Without effect where OpenMP
    /// is not found.
    /// </summary>
    public static SingleThread OnThisThreadAlone() =>
        new(Functions.SetThreads != 0 ? ((delegate* unmanaged<int>)Functions.GetThreads)() : 0);

    /// <summary>Sets the number of threads of the calling thread's operators and nobody else's.</summary>
    /// <returns>False where that cannot be done, and was not: OpenMP is not found, or MKL has a number besides that is not.</returns>
    public static bool TrySetThreads(int count)
    {
        if (Functions.SetThreads == 0 || (Functions.SetMklThreads == 0 && OperatingSystem.IsWindows()))
            return false;
        ((delegate* unmanaged<int, void>)Functions.SetThreads)(count);
        if (Functions.SetMklThreads != 0)
            _ = ((delegate* unmanaged<int, int>)Functions.SetMklThreads)(count);
        return true;
    }

    private static (nint SetThreads, nint GetThreads, nint SetMklThreads) Find()
    {
        // The library that libtorch is linked to, found by way of libtorch: its name differs between builds.
        TorchRuntime.Initialize();
        var library =
            OperatingSystem.IsWindows() ? "libiomp5md.dll"
            : OperatingSystem.IsMacOS() ? "libtorch_cpu.dylib"
            : "libtorch_cpu.so";
        return
            NativeLibrary.TryLoad(library, out var handle)
            && NativeLibrary.TryGetExport(handle, "omp_set_num_threads", out var setThreads)
            && NativeLibrary.TryGetExport(handle, "omp_get_max_threads", out var getThreads)
            // On Linux.
            ? (setThreads, getThreads, NativeLibrary.TryGetExport(handle, "MKL_Set_Num_Threads_Local", out var setMkl) ? setMkl : 0)
            : default;
    }

    /// <summary>Restores the number of threads.</summary>
    public readonly ref struct SingleThread
    {
        private readonly int before;

        internal SingleThread(int before)
        {
            this.before = before;
            if (before > 1)
                ((delegate* unmanaged<int, void>)Functions.SetThreads)(1);
        }

        /// <summary>Restores the number of threads.</summary>
        public void Dispose()
        {
            if (before > 1)
                ((delegate* unmanaged<int, void>)Functions.SetThreads)(before);
        }
    }
}
