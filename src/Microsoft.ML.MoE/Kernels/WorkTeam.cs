// Several threads on one sequence of small parallel loops.
//
// A parallel loop of the framework wakes its threads each time, which takes as long as a product of a small model. Here the threads stay
// for the whole sequence and wait for the next loop actively. The calling thread never waits for a helper that has not come yet: a helper
// takes part from when the thread pool has a thread for it, and an occupied pool costs speed, not progress.

using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>The threads that work on one call of an operation.</summary>
internal sealed unsafe class WorkTeam
{
    private readonly Scratch callersScratch = new();
    private volatile Loop? current;
    private volatile bool finished;

    private WorkTeam(int threads) => Threads = threads;

    /// <summary>What one item of a loop does.</summary>
    /// <param name="item">The item's number.</param>
    /// <param name="scratch">Memory of the thread, <see cref="Scratch.Floats"/> numbers, aligned to 64 bytes; holds anything.</param>
    public delegate void Body(int item, float* scratch);

    /// <summary>Threads that may work, the caller's among them.</summary>
    public int Threads { get; }

    /// <summary>Runs a sequence of loops.</summary>
    /// <param name="threads">Threads that may work, the caller's among them.</param>
    /// <param name="sequence">Calls <see cref="ForEach"/> any number of times.</param>
    public static void Run(int threads, Action<WorkTeam> sequence)
    {
        var team = new WorkTeam(threads);
        for (var helper = 1; helper < threads; helper++)
            ThreadPool.UnsafeQueueUserWorkItem(static team => team.Help(), team, preferLocal: false);
        try
        {
            sequence(team);
        }
        finally
        {
            team.finished = true;
            team.callersScratch.Dispose();
        }
    }

    /// <summary>
    /// Calls <paramref name="body"/> for every item below <paramref name="count"/>, in any order and on any of the threads, and returns
    /// when all are done.
    /// </summary>
    public void ForEach(int count, Body body)
    {
        var loop = new Loop(count, body);
        if (Threads > 1 && count > 1)
            current = loop;
        loop.Work(callersScratch);
        loop.Wait();
    }

    /// <summary>Splits [0, count) into ranges and calls <paramref name="body"/> for each with its start and end.</summary>
    public void ForRanges(int count, Action<int, int> body)
    {
        var ranges = Math.Min(count, 4 * Threads);
        ForEach(ranges, (range, _) => body((int)((long)count * range / ranges), (int)((long)count * (range + 1) / ranges)));
    }

    private void Help()
    {
        using var scratch = new Scratch();
        var wait = new SpinWait();
        Loop? seen = null;
        while (!finished)
        {
            var loop = current;
            if (loop == seen)
            {
                wait.SpinOnce(sleep1Threshold: -1);   // yields to others, but never sleeps
                continue;
            }

            wait.Reset();
            seen = loop;
            loop!.Work(scratch);
        }
    }

    /// <summary>A thread's own memory, which it gets when it first asks.</summary>
    internal sealed class Scratch : IDisposable
    {
        /// <summary>
        /// How many numbers there are: a block of a matrix that stays in the L2 cache, 512 KB, and a panel of another, 16 KB.
        /// </summary>
        public const int Floats = (128 << 10) + (4 << 10);

        private float* memory;

        public float* Memory => memory == null ? memory = (float*)NativeMemory.AlignedAlloc(Floats * sizeof(float), 64) : memory;

        public void Dispose() => NativeMemory.AlignedFree(memory);
    }

    private sealed class Loop(int count, Body body)
    {
        private int next = -1;
        private int done;
        private volatile Exception? failure;

        public void Work(Scratch scratch)
        {
            for (var item = Interlocked.Increment(ref next); item < count; item = Interlocked.Increment(ref next))
            {
                try
                {
                    if (failure is null)
                        body(item, scratch.Memory);
                }
#pragma warning disable CA1031 // Whatever it is, the caller's thread throws it.
                catch (Exception e)
#pragma warning restore CA1031
                {
                    failure = e;
                }
                finally
                {
                    Interlocked.Increment(ref done);
                }
            }
        }

        public void Wait()
        {
            var wait = new SpinWait();
            while (Volatile.Read(ref done) < count)
                wait.SpinOnce(sleep1Threshold: -1);
            if (failure is { } e)
                throw new InvalidOperationException($"A parallel loop failed: {e.Message}", e);
        }
    }
}
