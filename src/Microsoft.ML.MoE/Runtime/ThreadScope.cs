using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Sets how many threads one libtorch operation may use on the CPU when the calling thread asks for it, and restores the number when
/// disposed.
/// </summary>
/// <remarks>
/// The number is the calling thread's: scopes on other threads have theirs, so that two trainings at the same time each use as many threads
/// as they were told, and whichever of them ends first. What threads begin with that have not used libtorch yet
/// (<c>torch.set_num_threads</c> without a scope) stays as it is. Dispose a scope on the thread that made it, and scopes of one thread in
/// reverse order.
/// </remarks>
internal sealed class ThreadScope : IDisposable
{
    private static readonly Lock Gate = new();

    private int? previous;

    /// <summary>Sets the number of threads.</summary>
    /// <param name="threads">The number of threads; null leaves it as it is (by default one per physical core).</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="threads"/> is less than 1.</exception>
    /// <exception cref="InvalidOperationException">libtorch cannot be loaded.</exception>
    public ThreadScope(int? threads)
    {
        if (threads is not { } count)
            return;
        if (count < 1)
            throw new ArgumentOutOfRangeException(
                nameof(threads), count, "The number of threads must be at least 1, or null to leave it as it is.");

        TorchRuntime.Initialize();
        int before;
        lock (Gate)
            before = get_num_threads();
        if (before == count)
            return;
        Set(count);
        previous = before;
    }

    /// <summary>Restores the number of threads.</summary>
    public void Dispose()
    {
        if (previous is { } count)
            Set(count);
        previous = null;
    }

    private static void Set(int count)
    {
        if (!OpenMp.TrySetThreads(count))
            SetThroughLibtorch(count);
    }

    // OpenMP and MKL keep a number for every thread. libtorch keeps one besides, which a thread takes over when it first asks, and sets
    // both at once: its own can only be read by a thread that has not asked yet, and put back without a change to this thread by another
    // one. A thread that first asks in between takes this one's number.
    internal static void SetThroughLibtorch(int count)
    {
        lock (Gate)
        {
            var ofOthers = 0;
            OnNewThread(() => ofOthers = get_num_threads());
            set_num_threads(count);
            OnNewThread(() => set_num_threads(ofOthers));
        }
    }

    private static void OnNewThread(Action action)
    {
        var thread = new Thread(() => action());
        thread.Start();
        thread.Join();
    }
}
