using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using SkiaSharp;

namespace Estimators.Tests.Support;

/// <summary>Picture files, made byte by byte where SkiaSharp does not write such.</summary>
internal static class PictureBytes
{
    private static readonly byte[] PngStart = [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>A picture of pixels 0xRRGGBB, row by row, as SkiaSharp writes it.</summary>
    public static byte[] Encode(SKEncodedImageFormat format, uint[][] rows, int quality = 100)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(rows[0].Length, rows.Length, SKColorType.Rgba8888, SKAlphaType.Opaque));
        for (var y = 0; y < rows.Length; y++)
        {
            for (var x = 0; x < rows[y].Length; x++)
                bitmap.SetPixel(x, y, new SKColor(0xFF000000 | rows[y][x]));
        }
        using var data = bitmap.Encode(format, quality);
        return data.ToArray();
    }

    /// <summary>A PNG of raw rows.</summary>
    /// <param name="width">Pixels of a row.</param>
    /// <param name="height">Rows as the header says.</param>
    /// <param name="depth">Bits of a number.</param>
    /// <param name="colourType">0 grey, 2 colour, 3 palette, 4 grey with alpha, 6 colour with alpha.</param>
    /// <param name="rows">The rows that there are, in full bytes.</param>
    /// <param name="chunks">What comes before the pixels.</param>
    public static byte[] Png(
        int width, int height, byte depth, byte colourType, byte[][] rows, params (string Name, byte[] Content)[] chunks)
    {
        using var file = new MemoryStream();
        file.Write(PngStart);
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9]) = (depth, colourType);
        WriteChunk("IHDR", header);
        foreach (var (name, content) in chunks)
            WriteChunk(name, content);

        using var packed = new MemoryStream();
        using (var zlib = new ZLibStream(packed, CompressionMode.Compress, leaveOpen: true))
        {
            foreach (var row in rows)
            {
                zlib.WriteByte(0);   // no filter
                zlib.Write(row);
            }
        }
        WriteChunk("IDAT", packed.ToArray());
        WriteChunk("IEND", []);
        return file.ToArray();

        void WriteChunk(string name, byte[] content)
        {
            byte[] body = [.. Encoding.ASCII.GetBytes(name), .. content];
            file.Write(BigEndian(content.Length));
            file.Write(body);
            file.Write(BigEndian((int)Crc32(body)));
        }
    }

    /// <summary>Exif data that say how a picture is to be turned.</summary>
    public static byte[] Exif(int orientation, bool little)
    {
        byte[] Two(int value) => little ? [(byte)value, (byte)(value >> 8)] : [(byte)(value >> 8), (byte)value];
        byte[] Four(int value) => little ? [.. Two(value & 0xFFFF), .. Two(value >> 16)] : [.. Two(value >> 16), .. Two(value & 0xFFFF)];
        return
        [
            .. Encoding.ASCII.GetBytes(little ? "II" : "MM"), .. Two(42), .. Four(8),
            .. Two(2),
            .. Two(0x010F), .. Two(2), .. Four(2), .. "x\0\0\0"u8,   // who made the camera
            .. Two(0x0112), .. Two(3), .. Four(1), .. Two(orientation), 0, 0,
            .. Four(0),
        ];
    }

    /// <summary>A JPEG with Exif data.</summary>
    public static byte[] JpegWith(byte[] exif, byte[] jpeg)
    {
        byte[] content = [.. "Exif\0\0"u8, .. exif];
        return [.. jpeg[..2], 0xFF, 0xE1, .. BigEndian(content.Length + 2)[2..], .. content, .. jpeg[2..]];
    }

    /// <summary>A WebP with Exif data, around the one chunk of another.</summary>
    public static byte[] WebPWith(byte[] exif, byte[] webP, int width, int height)
    {
        byte[] body =
        [
            .. "WEBPVP8X"u8, 10, 0, 0, 0, 0x08, 0, 0, 0,
            .. BitConverter.GetBytes(width - 1)[..3], .. BitConverter.GetBytes(height - 1)[..3],
            .. webP[12..],
            .. "EXIF"u8, .. BitConverter.GetBytes(exif.Length), .. exif, .. new byte[exif.Length % 2],
        ];
        return [.. "RIFF"u8, .. BitConverter.GetBytes(body.Length), .. body];
    }

    /// <summary>
    /// A JPEG of 8×8 pixels in one colour, baseline, each component a block with nothing but its mean: as files of cyan, magenta, yellow
    /// and black are.
    /// </summary>
    /// <param name="values">The components' numbers as they are stored: four, of which Adobe's programs store 255 minus the ink.</param>
    public static byte[] FlatJpeg(params byte[] values)
    {
        var quantization = Enumerable.Repeat((byte)1, 64).ToArray();
        quantization[0] = 8;   // the mean of 64 numbers is stored times 8
        var bits = new StringBuilder();
        foreach (var value in values)
        {
            var mean = value - 128;
            var category = 0;
            while (Math.Abs(mean) >> category > 0)
                category++;
            bits.Append(Binary(category, 4));
            bits.Append(Binary(mean < 0 ? mean + (1 << category) - 1 : mean, category));
            bits.Append('0');   // no more in this block
        }
        while (bits.Length % 8 != 0)
            bits.Append('1');
        var scan = Enumerable.Range(0, bits.Length / 8)
            .Select(i => Convert.ToByte(bits.ToString(i * 8, 8), 2))
            .SelectMany(b => b == 0xFF ? new byte[] { 0xFF, 0 } : [b]);
        byte[] Segment(byte marker, params byte[] content) => [0xFF, marker, .. BigEndian(content.Length + 2)[2..], .. content];
        byte[] Components(params byte[] each) => [.. Enumerable.Range(1, values.Length).SelectMany(id => new[] { (byte)id }.Concat(each))];
        byte[] lengths = [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];   // twelve codes of four bits
        return
        [
            0xFF, 0xD8,
            .. Segment(0xEE, [.. "Adobe"u8, 0, 100, 0, 0, 0, 0, 0]),
            .. Segment(0xDB, [0, .. quantization]),
            .. Segment(0xC0, [8, 0, 8, 0, 8, (byte)values.Length, .. Components(0x11, 0)]),
            .. Segment(0xC4, [0x00, .. lengths, .. Enumerable.Range(0, 12).Select(i => (byte)i)]),
            .. Segment(0xC4, [0x10, 1, .. new byte[15], 0]),
            .. Segment(0xDA, [(byte)values.Length, .. Components(0), 0, 63, 0]),
            .. scan,
            0xFF, 0xD9,
        ];

        static string Binary(int value, int digits) =>
            string.Concat(Enumerable.Range(0, digits).Select(i => ((value >> (digits - 1 - i)) & 1) == 1 ? '1' : '0'));
    }

    private static byte[] BigEndian(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }

    private static uint Crc32(byte[] bytes)
    {
        var crc = uint.MaxValue;
        foreach (var b in bytes)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 1) == 1 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
        }
        return ~crc;
    }
}
