namespace Benchmarks.Roofline;

/// <summary>What it costs to begin anything, in microseconds.</summary>
/// <param name="NativeCall">A call into libtorch that only reads a number.</param>
/// <param name="Operation">An operation on one number, whose result is disposed.</param>
/// <param name="ParallelFor">A loop of the framework with nothing to do, an item for each thread.</param>
/// <param name="TeamRun">The library's own threads for one loop with nothing to do, an item for each.</param>
/// <param name="TeamLoop">One more such loop of the same threads.</param>
internal sealed record CallCosts(double NativeCall, double Operation, double ParallelFor, double TeamRun, double TeamLoop);
