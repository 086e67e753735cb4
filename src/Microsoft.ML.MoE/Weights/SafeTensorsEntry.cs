using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Weights;

/// <summary>One tensor of a safetensors file: what it is and which bytes of the data section hold it.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its sizes, outermost first.</param>
/// <param name="Begin">First byte, counted from the start of the data section.</param>
/// <param name="End">One past the last byte.</param>
internal sealed record SafeTensorsEntry(string Name, ScalarType Type, long[] Shape, long Begin, long End)
{
    public long ByteCount => End - Begin;

    public string Description => Describe(Type, Shape);

    public static string Describe(ScalarType type, ReadOnlySpan<long> shape) =>
        $"{SafeTensorsType.NameOf(type) ?? type.ToString()}[{string.Join(", ", shape.ToArray())}]";
}
