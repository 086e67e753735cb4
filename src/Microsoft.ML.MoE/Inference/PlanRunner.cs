// Who computes what of a batch. Items (images, texts) do not depend on each other, so several threads take some items each through the
// whole network: nobody waits for anybody between two layers. Where there are fewer items than threads, the threads share the work of large
// steps instead.

using System.Collections.Concurrent;
using Microsoft.ML.MoE.Kernels;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Inference;

/// <summary>Runs passes of one plan, from any number of threads at a time.</summary>
internal sealed unsafe class PlanRunner
{
    private const long LeastToShare = 1L << 26;   // multiply-adds of an item that a single thread does alone: a few milliseconds
    private const long LeastOfThread = 1L << 22;

    private static int running;   // passes at this moment, of all plans: they share the processor

    private readonly ConcurrentBag<Workspace> idle = [];

    /// <summary>One pass over some of the items.</summary>
    /// <param name="workspace">Memory, and who works.</param>
    /// <param name="first">The first item.</param>
    /// <param name="count">How many, at least 1.</param>
    public delegate void Pass(Workspace workspace, int first, int count);

    /// <summary>Computes items.</summary>
    /// <param name="items">How many.</param>
    /// <param name="itemsAtATime">Items whose numbers stay in the cache, at least 1.</param>
    /// <param name="workOfItem">Multiply-adds of an item, about.</param>
    /// <param name="pass">Computes some.</param>
    public void Run(int items, int itemsAtATime, long workOfItem, Pass pass)
    {
        if (items == 0)
            return;
        var threads = Math.Max(1, get_num_threads() / Interlocked.Increment(ref running));
        try
        {
            threads = (int)Math.Clamp(items * workOfItem / LeastOfThread, 1, threads);
            if (threads == 1 || (items == 1 && workOfItem < LeastToShare))
            {
                RunAlone(items, itemsAtATime, pass);
            }
            else if (items >= threads)
            {
                // Equally many pieces for every thread.
                var pieces = (((items + itemsAtATime - 1) / itemsAtATime) + threads - 1) / threads * threads;
                var size = (items + pieces - 1) / pieces;
                WorkTeam.Run(threads, team => team.ForEach((items + size - 1) / size, (piece, _) =>
                    RunPiece(piece * size, Math.Min(size, items - (piece * size)), null, pass)));
            }
            else if (workOfItem < LeastToShare)
            {
                WorkTeam.Run(items, team => team.ForEach(items, (item, _) => RunPiece(item, 1, null, pass)));
            }
            else
            {
                WorkTeam.Run(threads, team => RunPiece(0, items, team, pass));
            }
        }
        finally
        {
            Interlocked.Decrement(ref running);
        }
    }

    private void RunAlone(int items, int itemsAtATime, Pass pass)
    {
        for (var first = 0; first < items; first += itemsAtATime)
            RunPiece(first, Math.Min(itemsAtATime, items - first), null, pass);
    }

    private void RunPiece(int first, int count, WorkTeam? team, Pass pass)
    {
        if (!idle.TryTake(out var workspace))
            workspace = new Workspace();
        workspace.Team = team;
        try
        {
            pass(workspace, first, count);
        }
        finally
        {
            workspace.Reset();
            idle.Add(workspace);
        }
    }
}
