namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How files of byte pairs write bytes: each as one visible character (GPT-2's table). The bytes 33 to 126, 161 to 172 and 174 to 255 are
/// the characters of the same code; the others are, in order, those from 256 on.
/// </summary>
internal static class ByteCharacters
{
    private static readonly char[] Characters = CreateTable();
    private static readonly Dictionary<char, byte> Bytes = Characters
        .Select((character, value) => (character, value))
        .ToDictionary(pair => pair.character, pair => (byte)pair.value);

    /// <summary>The character of a byte.</summary>
    public static char Of(byte value) => Characters[value];

    /// <summary>The bytes of a token as it is written; null where a character of it stands for no byte.</summary>
    public static byte[]? Read(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            if (!Bytes.TryGetValue(token[i], out bytes[i]))
                return null;
        }
        return bytes;
    }

    private static char[] CreateTable()
    {
        var table = new char[256];
        var next = 256;
        for (var value = 0; value < table.Length; value++)
            table[value] = (char)(value is (>= 33 and <= 126) or (>= 161 and <= 172) or (>= 174 and <= 255) ? value : next++);
        return table;
    }
}
