using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Weights;

/// <summary>The element types of the safetensors format that torch modules are made of.</summary>
internal static class SafeTensorsType
{
    // The order in which the format's own library lays tensors out: wide types first, so that every tensor starts at a multiple of its
    // element size.
    private static readonly (string Name, ScalarType Type, int Size)[] All =
    [
        ("I64", ScalarType.Int64, 8),
        ("F64", ScalarType.Float64, 8),
        ("F32", ScalarType.Float32, 4),
        ("I32", ScalarType.Int32, 4),
        ("BF16", ScalarType.BFloat16, 2),
        ("F16", ScalarType.Float16, 2),
        ("I16", ScalarType.Int16, 2),
        ("I8", ScalarType.Int8, 1),
        ("U8", ScalarType.Byte, 1),
        ("BOOL", ScalarType.Bool, 1),
    ];

    public static string Supported { get; } = string.Join(", ", All.Select(t => t.Name));

    public static ScalarType? Parse(string name)
    {
        foreach (var type in All)
        {
            if (type.Name == name)
                return type.Type;
        }

        return null;
    }

    public static string? NameOf(ScalarType type) => LayoutOrder(type) is >= 0 and var i ? All[i].Name : null;

    public static int SizeOf(ScalarType type) => All[LayoutOrder(type)].Size;

    public static int LayoutOrder(ScalarType type) => Array.FindIndex(All, t => t.Type == type);
}
