using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>Sets how many threads one libtorch operation may use on the CPU, and restores the number when disposed.</summary>
/// <remarks>The number belongs to the process. Dispose a scope on the thread that made it: OpenMP also keeps the number by thread.</remarks>
public sealed class ThreadScope : IDisposable
{
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
            throw new ArgumentOutOfRangeException(nameof(threads), count, "The number of threads must be at least 1, or null to leave it as it is.");

        TorchRuntime.Initialize();
        previous = get_num_threads();
        set_num_threads(count);
    }

    /// <summary>Restores the number of threads.</summary>
    public void Dispose()
    {
        if (previous is { } count)
            set_num_threads(count);
        previous = null;
    }
}
