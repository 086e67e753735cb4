namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>The widths of tiles.</summary>
internal static class TileWidth
{
    public readonly struct Whole : ITileWidth
    {
        public static bool IsWhole => true;
    }

    public readonly struct Half : ITileWidth
    {
        public static bool IsWhole => false;
    }
}
