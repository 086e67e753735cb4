using Benchmarks.Roofline;

namespace Benchmarks;

/// <summary>What a unit of work takes at least, however it is done.</summary>
/// <param name="MultiplyAdds">Those that the result needs: of products of matrices alone, without what is computed again.</param>
/// <param name="Bytes">Bytes from and to memory: weights, tables, inputs, outputs. 0 where all of it stays in the caches.</param>
/// <param name="Access">How the bytes are reached.</param>
internal sealed record BenchmarkWork(double MultiplyAdds, double Bytes = 0, MemoryAccess Access = MemoryAccess.Reading)
{
    /// <summary>The time that a machine takes at least, and what it is bound by.</summary>
    /// <param name="limits">The machine.</param>
    /// <param name="precision">The number type of the products.</param>
    public (double Milliseconds, string By) BoundOn(MachineLimits limits, string precision)
    {
        var flops = precision == "bfloat16" ? limits.TorchBFloat16Flops ?? limits.Float32Flops : limits.Float32Flops;
        var (bytes, name) = Access switch
        {
            MemoryAccess.Copying => (limits.CopyBytes, "copying"),
            MemoryAccess.RandomRows => (limits.Rows1024Bytes, "random rows"),
            _ => (limits.ReadBytes, "reading"),
        };
        var (products, memory) = (2 * MultiplyAdds / flops / 1e6, Bytes / bytes / 1e6);
        return products >= memory ? (products, "multiply-adds") : (memory, name);
    }
}
