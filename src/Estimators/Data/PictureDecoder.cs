using System.Buffers;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.ML.Data;
using SkiaSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads picture files as a viewer shows them: upright, in the colours of sRGB, on a background.</summary>
/// <remarks>
/// ML.NET's own decoding leaves out what a file says beside its pixels: that it is to be turned, what its colours mean, that it is
/// transparent, and that its end is missing; and it takes whatever memory a file asks for.
/// </remarks>
internal sealed unsafe class PictureDecoder(PictureDecoding options)
{
    private const int BytesPerPixel = 4;
    private const int Opaque = byte.MaxValue;

    // With it the JPEG decoder gives all that it has, also the last rows, which it keeps back where a file just ends.
    private static ReadOnlySpan<byte> EndOfJpeg => [0xFF, 0xD9];

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">It cannot be opened or read.</exception>
    /// <exception cref="InvalidDataException">It is no picture that can be read; the message names it.</exception>
    public MLImage DecodeFile(string path)
    {
        using var handle = File.OpenHandle(path);
        var length = RandomAccess.GetLength(handle);
        if (length > Array.MaxLength)
            throw Unreadable($"'{path}'", string.Create(CultureInfo.InvariantCulture, $"has {length:N0} bytes; a picture has fewer"));
        var file = ArrayPool<byte>.Shared.Rent((int)length);
        try
        {
            var filled = 0;
            while (filled < length && RandomAccess.Read(handle, file.AsSpan(filled, (int)length - filled), filled) is > 0 and var read)
                filled += read;
            var picture = Decode(file.AsSpan(0, filled), $"'{path}'");
            picture.Tag = path;
            return picture;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(file);
        }
    }

    /// <summary>Reads the bytes of a file.</summary>
    /// <param name="file">The bytes.</param>
    /// <param name="name">What they are, for messages.</param>
    /// <exception cref="InvalidDataException">They are no picture that can be read.</exception>
    public MLImage Decode(ReadOnlySpan<byte> file, string name)
    {
        fixed (byte* bytes = file)
        {
            using var data = file.IsEmpty ? SKData.Empty : SKData.Create((IntPtr)bytes, file.Length);
            using var codec = SKCodec.Create(data);
            if (codec is null)
                throw Unreadable(name, "is no picture that can be read: no JPEG, PNG, WebP, GIF or BMP, or not even the start of one");

            var (width, height) = (codec.Info.Width, codec.Info.Height);
            if ((long)width * height > options.MaxPixels)
            {
                throw Unreadable(
                    name,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"has {width}×{height} pixels; at most {options.MaxPixels:N0} are decoded "
                            + $"({nameof(PictureLoader.Options.MaxPixels)})"));
            }

            using var bitmap = new SKBitmap();
            var info = new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Unpremul, SKColorSpace.CreateSrgb());
            if (!bitmap.TryAllocPixels(info))
                throw new InsufficientMemoryException($"There is no memory for the {width}×{height} pixels of {name}.");
            var result = codec.GetPixels(info, bitmap.GetPixels());
            if (result == SKCodecResult.IncompleteInput && codec.EncodedFormat == SKEncodedImageFormat.Jpeg && options.AcceptIncomplete)
                DecodeEnded(file, info, bitmap);
            else if (result != SKCodecResult.Success && !(options.AcceptIncomplete && IsPartial(result)))
                throw Unreadable(name, Reason(result));

            var orientation = codec.EncodedOrigin == SKEncodedOrigin.TopLeft ? ExifOrientation.Find(file) : (int)codec.EncodedOrigin;
            var pixels = new Span<uint>((void*)bitmap.GetPixels(), width * height);
            if (codec.Info.AlphaType != SKAlphaType.Opaque || result != SKCodecResult.Success)
                Compose(pixels);
            return orientation == ExifOrientation.Upright ? ToImage(pixels, width, height) : Turn(pixels, width, height, orientation);
        }
    }

    private static void DecodeEnded(ReadOnlySpan<byte> file, SKImageInfo info, SKBitmap bitmap)
    {
        using var data = SKData.CreateCopy([.. file, .. EndOfJpeg]);
        using var codec = SKCodec.Create(data);
        _ = codec?.GetPixels(info, bitmap.GetPixels());
    }

    // Puts the colours over the background: as numbers of sRGB, like all viewers. A part that is missing is transparent.
    private void Compose(Span<uint> pixels)
    {
        Span<int> background = [options.Background.R, options.Background.G, options.Background.B];
        fixed (uint* first = pixels)
        {
            var bytes = (byte*)first;
            for (var i = 0L; i < pixels.Length; i++, bytes += BytesPerPixel)
            {
                int alpha = bytes[3];
                if (alpha == Opaque)
                    continue;
                for (var channel = 0; channel < 3; channel++)
                    bytes[channel] = (byte)(((bytes[channel] * alpha) + (background[channel] * (Opaque - alpha)) + (Opaque / 2)) / Opaque);
                bytes[3] = Opaque;
            }
        }
    }

    // Exif's orientations say where the first row and the first column of the file are shown. 1: top, left; 2: top, right; 3: bottom,
    // right; 4: bottom, left; 5: left, top; 6: right, top; 7: right, bottom; 8: left, bottom.
    private static MLImage Turn(ReadOnlySpan<uint> source, int width, int height, int orientation)
    {
        var swaps = orientation >= 5;
        var (shownWidth, shownHeight) = swaps ? (height, width) : (width, height);
        var fromRight = orientation is 2 or 3 or 7 or 8;    // whether the file's x is mirrored, as it stands
        var fromBottom = orientation is 3 or 4 or 6 or 7;
        var (start, step, stride) = (
            (fromRight ? width - 1 : 0) + ((fromBottom ? height - 1 : 0) * width),
            fromRight ? -1 : 1,
            fromBottom ? -width : width);
        var (stepX, stepY) = swaps ? (stride, step) : (step, stride);

        using var turned = new SKBitmap();
        if (!turned.TryAllocPixels(new SKImageInfo(shownWidth, shownHeight, SKColorType.Rgba8888)))
            throw new InsufficientMemoryException($"There is no memory for {shownWidth}×{shownHeight} pixels.");
        var target = new Span<uint>((void*)turned.GetPixels(), source.Length);
        for (var y = 0; y < shownHeight; y++)
        {
            var from = start + (y * stepY);
            foreach (ref var pixel in target.Slice(y * shownWidth, shownWidth))
            {
                pixel = source[from];
                from += stepX;
            }
        }
        return ToImage(target, shownWidth, shownHeight);
    }

    private static MLImage ToImage(ReadOnlySpan<uint> pixels, int width, int height) =>
        MLImage.CreateFromPixels(width, height, MLPixelFormat.Rgba32, MemoryMarshal.AsBytes(pixels));

    private static bool IsPartial(SKCodecResult result) => result is SKCodecResult.IncompleteInput or SKCodecResult.ErrorInInput;

    private static string Reason(SKCodecResult result) => result switch
    {
        SKCodecResult.IncompleteInput =>
            $"ends before all of its pixels ({nameof(PictureLoader.Options.AcceptIncomplete)} takes what is there)",
        SKCodecResult.ErrorInInput => $"is damaged ({nameof(PictureLoader.Options.AcceptIncomplete)} takes what can be read)",
        _ => $"cannot be decoded ({result})",
    };

    private static InvalidDataException Unreadable(string name, string reason) => new($"The picture {name} {reason}.");
}
