namespace Benchmarks;

/// <summary>How a benchmark's bytes are reached, which says how many of them a second a machine can move.</summary>
internal enum MemoryAccess
{
    /// <summary>In order, mostly read.</summary>
    Reading,

    /// <summary>In order, about as many written as read.</summary>
    Copying,

    /// <summary>Rows of 1 KB at random places.</summary>
    RandomRows,
}
