using System.Text;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads text byte by byte: tokens 0 to 255 are the bytes of UTF-8, 256 is the separator.</summary>
internal sealed class ByteTokenizer : TextTokenizer
{
    private const int Bytes = 256;

    private static readonly byte[] Table = [.. Enumerable.Range(0, Bytes).Select(value => (byte)value)];

    /// <inheritdoc/>
    public override TokenizerKind Kind => TokenizerKind.Bytes;

    /// <inheritdoc/>
    public override int VocabularySize => Bytes + 1;

    /// <inheritdoc/>
    public override int SeparatorId => Bytes;

    /// <inheritdoc/>
    internal override TokenizerDocument Describe() => new() { Kind = Kind };

    private protected override int[] EncodeCore(string text) => Array.ConvertAll(Encoding.UTF8.GetBytes(text), value => (int)value);

    private protected override ReadOnlySpan<byte> GetBytesCore(int id) => id == SeparatorId ? [] : Table.AsSpan(id, 1);
}
