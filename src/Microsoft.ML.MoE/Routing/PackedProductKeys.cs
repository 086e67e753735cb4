using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.ProductKeys;
using TorchSharp;

namespace Microsoft.ML.MoE.Routing;

/// <summary>The sub-keys of <see cref="ProductKeys"/> packed once, for many searches on numbers in memory.</summary>
/// <param name="options">Number of keys, heads, widths.</param>
/// <param name="managed">Searches.</param>
internal sealed unsafe class PackedProductKeys(ProductKeyOptions options, ManagedProductKeys managed)
{
    private readonly float[] packed = GC.AllocateUninitializedArray<float>(checked((int)managed.PackedFloats), pinned: true);

    /// <summary>Heads.</summary>
    public int Heads => options.Heads;

    /// <summary>Keys that each of them retrieves.</summary>
    public int KeysPerHead => options.KeysPerHead;

    /// <summary>Numbers of memory that a search needs.</summary>
    public long ScratchFloats => managed.ScratchFloats;

    /// <summary>Packs sub-keys.</summary>
    public static PackedProductKeys Of(
        ProductKeyOptions options, ManagedProductKeys managed, torch.Tensor rowKeys, torch.Tensor columnKeys)
    {
        using var noGrad = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var keys = new PackedProductKeys(options, managed);
        var (rows, columns) = (rowKeys.detach().contiguous(), columnKeys.detach().contiguous());
        fixed (float* target = keys.packed)
        {
            managed.Pack(Memory.Floats(rows), Memory.Floats(columns), target);
        }
        GC.KeepAlive(rows);
        GC.KeepAlive(columns);
        return keys;
    }

    /// <summary>Finds the best keys, on this thread.</summary>
    /// <param name="query">Queries (T, H·d_k).</param>
    /// <param name="tokens">T.</param>
    /// <param name="ids">Receives the keys (T, H, K), best first.</param>
    /// <param name="scores">Receives their scores (T, H, K).</param>
    /// <param name="subKeys">Receives the two sub-keys of each (2, T, H, K).</param>
    /// <param name="scratch">Room for <see cref="ScratchFloats"/> numbers.</param>
    public void Search(float* query, int tokens, long* ids, float* scores, int* subKeys, float* scratch)
    {
        fixed (float* keys = packed)
        {
            managed.Search(query, keys, tokens, ids, scores, subKeys, scratch);
        }
    }
}
