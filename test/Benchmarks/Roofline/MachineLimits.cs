namespace Benchmarks.Roofline;

/// <summary>What a machine can do with the threads in use. Rates are 10⁹ a second; a multiply-add counts as two operations.</summary>
internal sealed record MachineLimits
{
    /// <summary>Threads of every rate.</summary>
    public required int Threads { get; init; }

    /// <summary>Multiply-adds of float32 in registers with 128-bit vectors, GF/s; null where there are wider ones.</summary>
    public double? Vector128Flops { get; init; }

    /// <summary>The same with 256-bit vectors (AVX2); null where the processor has none.</summary>
    public double? Vector256Flops { get; init; }

    /// <summary>The same with 512-bit vectors (AVX-512); null where the processor has none.</summary>
    public double? Vector512Flops { get; init; }

    /// <summary>The best that libtorch reaches on a large square product of float32, GF/s.</summary>
    public required double TorchFloat32Flops { get; init; }

    /// <summary>
    /// The same in bfloat16, GF/s; null where the processor has no instructions for it. This stands for the peak: .NET has no class for
    /// those instructions, so that a loop in registers cannot be written.
    /// </summary>
    public double? TorchBFloat16Flops { get; init; }

    /// <summary>Reading in order, GB/s.</summary>
    public required double ReadBytes { get; init; }

    /// <summary>Copying, GB/s; what is read and what is written are counted both.</summary>
    public required double CopyBytes { get; init; }

    /// <summary>Reading rows of 512 bytes at random places, GB/s.</summary>
    public required double Rows512Bytes { get; init; }

    /// <summary>Reading rows of 1 KB at random places, GB/s.</summary>
    public required double Rows1024Bytes { get; init; }

    /// <summary>Reading rows of 2 KB at random places, GB/s.</summary>
    public required double Rows2048Bytes { get; init; }

    /// <summary>What one call is and costs.</summary>
    public CallCosts? Calls { get; init; }

    /// <summary>The peak of float32, GF/s.</summary>
    public double Float32Flops => Vector512Flops ?? Vector256Flops ?? Vector128Flops ?? TorchFloat32Flops;

    /// <summary>The limits as rows of a table, without those that the machine does not have.</summary>
    public IEnumerable<MachineLimit> ToLimits()
    {
        (string, double?, string, string)[] limits =
        [
            ("multiply-adds, 128 bit", Vector128Flops, "GF/s", "in registers"),
            ("multiply-adds, AVX2", Vector256Flops, "GF/s", "in registers"),
            ("multiply-adds, AVX-512", Vector512Flops, "GF/s", "in registers"),
            ("float32 product of libtorch", TorchFloat32Flops, "GF/s", "square, the best of two sizes"),
            ("bfloat16 product of libtorch", TorchBFloat16Flops, "GF/s", "the same; .NET has no class for AVX512_BF16"),
            ("reading in order", ReadBytes, "GB/s", "512 MB"),
            ("copying", CopyBytes, "GB/s", "256 MB to 256 MB, read and written counted"),
            ("random rows of 0.5 KB", Rows512Bytes, "GB/s", "of 512 MB, each once"),
            ("random rows of 1 KB", Rows1024Bytes, "GB/s", "of 512 MB, each once"),
            ("random rows of 2 KB", Rows2048Bytes, "GB/s", "of 512 MB, each once"),
            ("call into libtorch", Calls?.NativeCall, "µs", "asks for the number of axes"),
            ("operation of libtorch", Calls?.Operation, "µs", "negates one number; the result is disposed"),
            ("Parallel.For", Calls?.ParallelFor, "µs", "an item for each thread, nothing to do"),
            ("WorkTeam.Run", Calls?.TeamRun, "µs", "one loop with an item for each thread, nothing to do"),
            ("WorkTeam.ForEach", Calls?.TeamLoop, "µs", "one more such loop of the same team"),
        ];
        return limits.Where(limit => limit.Item2 is not null)
            .Select(limit => new MachineLimit(limit.Item1, limit.Item2!.Value, limit.Item3, limit.Item4));
    }
}
