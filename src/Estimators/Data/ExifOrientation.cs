using System.Buffers.Binary;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Finds how a PNG or a WebP is to be turned: the tag Orientation (0x0112) of its Exif data (CIPA DC-008). SkiaSharp reads that of a JPEG
/// alone.
/// </summary>
internal static class ExifOrientation
{
    /// <summary>Not turned.</summary>
    public const int Upright = 1;

    private const int Tag = 0x0112;
    private const int ShortType = 3;   // an unsigned number of 16 bits
    private const int EntryBytes = 12;

    private static ReadOnlySpan<byte> PngStart => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>Finds it.</summary>
    /// <param name="file">The file.</param>
    /// <returns>1 to 8; 1 where the file does not say.</returns>
    public static int Find(ReadOnlySpan<byte> file)
    {
        var exif = file.StartsWith(PngStart) ? PngChunk(file)
            : file.Length > 12 && file.StartsWith("RIFF"u8) && file[8..].StartsWith("WEBP"u8) ? WebPChunk(file)
            : default;
        return FromTiff(exif.StartsWith("Exif\0\0"u8) ? exif[6..] : exif);
    }

    // Chunks of length, name, contents and checksum. What comes after the pixels counts too.
    private static ReadOnlySpan<byte> PngChunk(ReadOnlySpan<byte> file)
    {
        for (var rest = file[PngStart.Length..]; rest.Length >= 12;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(rest);
            if (length > rest.Length - 12)
                break;
            if (rest[4..].StartsWith("eXIf"u8))
                return rest.Slice(8, (int)length);
            rest = rest[(12 + (int)length)..];
        }
        return default;
    }

    // Chunks of name, length and contents, at even places.
    private static ReadOnlySpan<byte> WebPChunk(ReadOnlySpan<byte> file)
    {
        for (var rest = file[12..]; rest.Length >= 8;)
        {
            var length = BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]);
            if (length > rest.Length - 8)
                break;
            if (rest.StartsWith("EXIF"u8))
                return rest.Slice(8, (int)length);
            rest = rest[Math.Min(8 + (int)(length + (length & 1)), rest.Length)..];
        }
        return default;
    }

    private static int FromTiff(ReadOnlySpan<byte> tiff)
    {
        if (tiff.Length < 10)
            return Upright;
        var little = tiff.StartsWith("II"u8);
        if (!little && !tiff.StartsWith("MM"u8))
            return Upright;
        var start = Read32(tiff[4..]);
        if (start > tiff.Length - 2)
            return Upright;
        var directory = tiff[(int)start..];
        var count = Read16(directory);
        for (var entry = 0; entry < count && 2 + ((entry + 1) * EntryBytes) <= directory.Length; entry++)
        {
            var field = directory.Slice(2 + (entry * EntryBytes), EntryBytes);
            if (Read16(field) == Tag && Read16(field[2..]) == ShortType)
                return Read16(field[8..]) is >= 1 and <= 8 and var orientation ? orientation : Upright;
        }
        return Upright;

        ushort Read16(ReadOnlySpan<byte> at) =>
            little ? BinaryPrimitives.ReadUInt16LittleEndian(at) : BinaryPrimitives.ReadUInt16BigEndian(at);
        uint Read32(ReadOnlySpan<byte> at) =>
            little ? BinaryPrimitives.ReadUInt32LittleEndian(at) : BinaryPrimitives.ReadUInt32BigEndian(at);
    }
}
