using System.Drawing;
using Estimators.Tests.Support;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using SkiaSharp;

namespace Estimators.Tests.Data;

/// <summary>Picture files come out as a viewer shows them, or are refused by name.</summary>
[TestClass]
public sealed class PictureDecoderTests
{
    private const uint Red = 0xFF0000;
    private const uint Green = 0x00FF00;
    private const uint Blue = 0x0000FF;
    private const uint White = 0xFFFFFF;

    // Three wide and two high, all different.
    private static readonly uint[][] Letters = [[Red, Green, Blue], [0x000000, 0x808080, White]];

    // Where the pixels of the letters are shown, by orientation.
    private static readonly string[] Turned =
    [
        "012/345", "210/543", "543/210", "345/012", "03/14/25", "30/41/52", "52/41/30", "25/14/03",
    ];

    public static IEnumerable<(int Orientation, string Format)> Orientations =>
        Enumerable.Range(1, 8).SelectMany(orientation => new[] { "png", "webp", "jpeg" }.Select(format => (orientation, format)));

    [TestMethod]
    [DynamicData(nameof(Orientations))]
    public void ATurnedPicture_IsUpright(int orientation, string format)
    {
        foreach (var little in new[] { true, false })
        {
            // A JPEG loses colour beyond blocks of pixels: each letter fills some.
            var enlarge = format == "jpeg" ? 16 : 1;
            uint[][] rows =
            [
                .. Letters.SelectMany(row => Enumerable.Repeat(row.SelectMany(p => Enumerable.Repeat(p, enlarge)).ToArray(), enlarge)),
            ];
            var exif = PictureBytes.Exif(orientation, little);
            var file = format switch
            {
                "png" => PictureBytes.Png(3, 2, 8, 2, [.. Letters.Select(ToBytes)], ("eXIf", exif)),
                "webp" => PictureBytes.WebPWith(exif, PictureBytes.Encode(SKEncodedImageFormat.Webp, rows), 3, 2),
                _ => PictureBytes.JpegWith(exif, PictureBytes.Encode(SKEncodedImageFormat.Jpeg, rows)),
            };
            using var picture = Decode(file);

            var wanted = Turned[orientation - 1].Split('/');
            Assert.AreEqual((wanted[0].Length * enlarge, wanted.Length * enlarge), (picture.Width, picture.Height));
            for (var y = 0; y < wanted.Length; y++)
            {
                for (var x = 0; x < wanted[0].Length; x++)
                {
                    var letter = wanted[y][x] - '0';
                    var shown = PixelAt(picture, (x * enlarge) + (enlarge / 2), (y * enlarge) + (enlarge / 2));
                    AssertNear(Letters[letter / 3][letter % 3], shown, 6);
                }
            }
        }
    }

    [TestMethod]
    public void ExifThatIsDamaged_TurnsNothing()
    {
        var exif = PictureBytes.Exif(6, little: true);
        byte[][] damaged =
        [
            [], exif[..9], exif[..20], [.. exif[..4], 0xFF, 0xFF, 0xFF, 0x7F, .. exif[8..]],
            PictureBytes.Exif(9, little: true), PictureBytes.Exif(0, little: true),
        ];
        foreach (var bytes in damaged)
        {
            using var picture = Decode(PictureBytes.Png(3, 2, 8, 2, [.. Letters.Select(ToBytes)], ("eXIf", bytes)));
            Assert.AreEqual((3, 2), (picture.Width, picture.Height));
        }
    }

    [TestMethod]
    public void Grey_Palette_16Bits_AndOneBit_AreRead()
    {
        (string Kind, byte[] File, uint[] Wanted)[] cases =
        [
            ("grey", PictureBytes.Png(2, 1, 8, 0, [[0x40, 0xC0]]), [0x404040, 0xC0C0C0]),
            ("grey of 16 bits", PictureBytes.Png(2, 1, 16, 0, [[0x40, 0x00, 0xFF, 0xFF]]), [0x404040, White]),
            ("grey of 4 bits", PictureBytes.Png(2, 1, 4, 0, [[0x0F]]), [0, White]),
            ("one bit", PictureBytes.Png(2, 1, 1, 0, [[0b0100_0000]]), [0, White]),
            ("colour of 16 bits", PictureBytes.Png(1, 1, 16, 2, [[0xFF, 0xFF, 0x80, 0x00, 0x00, 0x00]]), [0xFF8000]),
            ("palette", PictureBytes.Png(2, 1, 8, 3, [[1, 0]], ("PLTE", [0, 0, 255, 255, 0, 0])), [Red, Blue]),
            (
                "palette with transparency",
                PictureBytes.Png(2, 1, 8, 3, [[1, 0]], ("PLTE", [0, 0, 255, 255, 0, 0]), ("tRNS", [0, 255])),
                [Red, White]),
            ("cyan, stored as 255 − ink", PictureBytes.FlatJpeg(0, 255, 255, 255), [0x00FFFF]),
            ("orange under half black", PictureBytes.FlatJpeg(255, 128, 0, 128), [0x804000]),
        ];
        foreach (var (kind, file, wanted) in cases)
        {
            using var picture = Decode(file);
            for (var x = 0; x < wanted.Length; x++)
                AssertNear(wanted[x], PixelAt(picture, x, 0), 2, kind);
        }
    }

    [TestMethod]
    public void WhatIsTransparent_ShowsTheBackground()
    {
        // Black: opaque, half, not at all; and a red that does not show.
        byte[] row = [0, 0, 0, 255, 0, 0, 0, 128, 0, 0, 0, 0, 255, 0, 0, 0];
        var file = PictureBytes.Png(4, 1, 8, 6, [row]);
        using var onWhite = Decode(file);
        using var onBlue = Decode(file, PictureDecoding.Usual with { Background = Color.Blue });
        CollectionAssert.AreEqual(new uint[] { 0, 0x7F7F7F, White, White }, Row(onWhite));
        CollectionAssert.AreEqual(new uint[] { 0, 0x00007F, Blue, Blue }, Row(onBlue));
    }

    [TestMethod]
    public void AColourProfile_IsTurnedIntoSrgb()
    {
        // Of Display P3, as telephones have it. Linear: (0.127, 0.578, 0.127), in sRGB (0.026, 0.596, 0.092).
        using var wide = SKColorSpace.CreateRgb(SKColorSpaceTransferFn.Srgb, SKColorSpaceXyz.DisplayP3);
        using var bitmap = new SKBitmap(new SKImageInfo(1, 1, SKColorType.Rgba8888, SKAlphaType.Opaque, wide));
        new byte[] { 100, 200, 100, 255 }.CopyTo(MutablePixels(bitmap));
        using var data = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        using var picture = Decode(data.ToArray());
        AssertNear(0x2DCB56, PixelAt(picture, 0, 0), 2);
    }

    [TestMethod]
    public void AnAnimation_GivesItsFirstPicture()
    {
        using var picture = Decode(Animation());
        Assert.AreEqual((2, 1), (picture.Width, picture.Height));
        CollectionAssert.AreEqual(new uint[] { Red, White }, Row(picture));   // the first picture covers one of two pixels
    }

    [TestMethod]
    public void APictureThatIsCutOff_IsRefused_OrTakenAsFarAsItGoes()
    {
        uint[][] rows =
        [
            .. Enumerable.Range(0, 64).Select(y =>
                Enumerable.Range(0, 64).Select(x => (uint)((x * 4 << 16) | (y * 4 << 8) | (x * y % 256))).ToArray()),
        ];
        foreach (var format in new[] { SKEncodedImageFormat.Jpeg, SKEncodedImageFormat.Png })
        {
            var file = PictureBytes.Encode(format, rows, quality: 95);
            using var whole = Decode(file);
            foreach (var cut in new[] { file.Length / 2, file.Length * 3 / 4 })
            {
                var refusal = Assert.ThrowsExactly<InvalidDataException>(() => Decode(file[..cut]));
                StringAssert.Contains(refusal.Message, "'a.file' ends before all of its pixels");

                using var part = Decode(file[..cut], PictureDecoding.Usual with { AcceptIncomplete = true });
                Assert.AreEqual((64, 64), (part.Width, part.Height));
                Assert.AreEqual(PixelAt(whole, 3, 2), PixelAt(part, 3, 2));
                Assert.AreNotEqual(PixelAt(whole, 40, 63), PixelAt(part, 40, 63));
                Assert.AreEqual(255, part.Pixels[^1]);
            }
        }

        // Of a JPEG without its end marker all is there.
        var jpeg = PictureBytes.Encode(SKEncodedImageFormat.Jpeg, rows, quality: 95);
        using var all = Decode(jpeg);
        using var endless = Decode(jpeg[..^2], PictureDecoding.Usual with { AcceptIncomplete = true });
        CollectionAssert.AreEqual(all.Pixels.ToArray(), endless.Pixels.ToArray());
    }

    [TestMethod]
    public void WhatIsNoPicture_IsRefused()
    {
        foreach (var file in new byte[][] { [], [1], [.. "not an image"u8], PictureBytes.FlatJpeg(0, 0, 0, 0)[..10] })
        {
            var refusal = Assert.ThrowsExactly<InvalidDataException>(() => Decode(file));
            StringAssert.Contains(refusal.Message, "'a.file' is no picture that can be read");
        }
    }

    [TestMethod]
    public void APictureOfTooManyPixels_IsRefusedBeforeItIsDecoded()
    {
        var refusal = Assert.ThrowsExactly<InvalidDataException>(() => Decode(PictureBytes.Png(30_000, 30_000, 1, 0, [[0]])));
        StringAssert.Contains(refusal.Message, "'a.file' has 30000×30000 pixels; at most 100,000,000 are decoded (MaxPixels)");

        using var six = Decode(PictureBytes.Png(3, 2, 8, 2, [.. Letters.Select(ToBytes)]), PictureDecoding.Usual with { MaxPixels = 6 });
        Assert.AreEqual(3, six.Width);
        Assert.ThrowsExactly<InvalidDataException>(() =>
            Decode(PictureBytes.Png(3, 2, 8, 2, [.. Letters.Select(ToBytes)]), PictureDecoding.Usual with { MaxPixels = 5 }));
    }

    [TestMethod]
    public void AFile_CarriesItsName()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, PictureBytes.Png(3, 2, 8, 2, [.. Letters.Select(ToBytes)]));
            using var picture = new PictureDecoder(PictureDecoding.Usual).DecodeFile(path);
            Assert.AreEqual(path, picture.Tag);
            CollectionAssert.AreEqual(Letters[0], Row(picture));

            File.WriteAllText(path, "text");
            var refusal = Assert.ThrowsExactly<InvalidDataException>(() => new PictureDecoder(PictureDecoding.Usual).DecodeFile(path));
            StringAssert.Contains(refusal.Message, path);
        }
        finally
        {
            File.Delete(path);
        }
        var absent = Assert.ThrowsExactly<FileNotFoundException>(() => new PictureDecoder(PictureDecoding.Usual).DecodeFile(path));
        StringAssert.Contains(absent.Message, path);
    }

    // Two frames of GIF (89a): red in the left of two pixels, then blue in both.
    private static byte[] Animation() =>
    [
        .. "GIF89a"u8, 2, 0, 1, 0, 0x80, 0, 0, 255, 0, 0, 0, 0, 255,
        .. Frame(1, [0x44, 0x01]), .. Frame(2, [0x4C, 0x0A]), 0x3B,
    ];

    private static byte[] Frame(byte width, byte[] codes) =>
        [0x21, 0xF9, 4, 0, 10, 0, 0, 0, 0x2C, 0, 0, 0, 0, width, 0, 1, 0, 0, 2, (byte)codes.Length, .. codes, 0];

    private static MLImage Decode(byte[] file, PictureDecoding? options = null) =>
        new PictureDecoder(options ?? PictureDecoding.Usual).Decode(file, "'a.file'");

    private static byte[] ToBytes(uint[] row) => [.. row.SelectMany(p => new[] { (byte)(p >> 16), (byte)(p >> 8), (byte)p })];

    private static uint[] Row(MLImage picture) => [.. Enumerable.Range(0, picture.Width).Select(x => PixelAt(picture, x, 0))];

    private static uint PixelAt(MLImage picture, int x, int y)
    {
        Assert.AreEqual(MLPixelFormat.Rgba32, picture.PixelFormat);
        var pixel = picture.Pixels.Slice(4 * ((y * picture.Width) + x), 4);
        return (uint)((pixel[0] << 16) | (pixel[1] << 8) | pixel[2]);
    }

    private static unsafe Span<byte> MutablePixels(SKBitmap bitmap) => new((void*)bitmap.GetPixels(), bitmap.ByteCount);

    private static void AssertNear(uint wanted, uint found, int tolerance, string what = "")
    {
        for (var shift = 0; shift < 24; shift += 8)
        {
            var difference = (int)((wanted >> shift) & 0xFF) - (int)((found >> shift) & 0xFF);
            Assert.IsTrue(Math.Abs(difference) <= tolerance, $"{what} {wanted:X6} {found:X6}");
        }
    }
}
