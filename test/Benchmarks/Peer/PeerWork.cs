// What the benchmarks of PEER have in common.
//
// Axes: T = tokens, D = model width.

using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>
/// Sizes of a PEER layer and the tokens it gets; heads, experts a head and query width are the paper's and the layer's defaults.
/// </summary>
/// <param name="Experts">Number of experts.</param>
/// <param name="Tokens">T.</param>
internal sealed record PeerWork(int Experts, int Tokens)
{
    /// <summary>D.</summary>
    public const int Width = 256;

    /// <summary>Batches that a benchmark goes through in turn: of one batch alone, the rows would stay in the cache.</summary>
    public const int Batches = 8;

    /// <summary>A million experts: two tables of a gigabyte.</summary>
    public static PeerWork Million(int tokens) => new(1024 * 1024, tokens);

    /// <summary>A size that takes some megabytes, for checks that time nothing.</summary>
    public static PeerWork Small { get; } = new(64 * 64, 96);

    /// <summary>Options of the layer.</summary>
    public PeerOptions Options => new() { Experts = Experts };

    /// <summary>What the forward pass takes: a row of both tables for every expert of a token.</summary>
    public BenchmarkWork Forward => new(Products, RowBytes(Picked), MemoryAccess.RandomRows);

    /// <summary>
    /// What a training step takes at most: rows read forward and backward, then each that was picked, with its two moments, read and
    /// written. Fewer where tokens share experts.
    /// </summary>
    public BenchmarkWork Step => new(3 * Products, RowBytes((2 * Picked) + (6 * Math.Min(Picked, Experts))), MemoryAccess.RandomRows);

    private double Picked => (double)Tokens * Options.Heads * Options.ExpertsPerHead;

    private double Products => (double)Tokens * Options.GetCost(Width).MacsPerToken;

    private static double RowBytes(double rows) => 2 * rows * Width * sizeof(float);

    /// <summary>The layer, the same in every run.</summary>
    public Microsoft.ML.MoE.Layers.Peer Layer()
    {
        using var seed = new SeedScope(1, CPU);
        return new(Width, Options);
    }

    /// <summary>Random tokens (T, D) of every batch, and the gradient of the outputs.</summary>
    public (Tensor[] X_TD, Tensor Gradient_TD) Inputs()
    {
        using var generator = new Generator(2);
        return (
            [.. Enumerable.Range(0, Batches).Select(_ => randn([Tokens, Width], generator: generator))],
            randn([Tokens, Width], generator: generator));
    }
}
