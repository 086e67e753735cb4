using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Reads videos that are folders of pictures, the frames in the natural order of their names: as many as a video has, at even distances;
/// where there are fewer, some come several times.
/// </summary>
/// <param name="getter">Gets the current row's folder.</param>
/// <param name="frame">What a frame is.</param>
/// <param name="frames">Frames of a video.</param>
/// <param name="decoding">How files become pixels.</param>
internal sealed class FrameFolderReader(
    ValueGetter<ReadOnlyMemory<char>> getter, ImageColumn frame, int frames, PictureDecoding decoding) : ImageReader(frame)
{
    private static readonly string[] Extensions = [".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"];

    private readonly PictureDecoder decoder = new(decoding);
    private readonly PictureResizer resizer = new(frame.Shape, frame.Resizing);
    private ReadOnlyMemory<char> folder;

    private protected override bool TryGet(Span<byte> destination)
    {
        getter(ref folder);
        if (folder.IsEmpty)
            return false;
        string[] files =
        [
            .. Directory
                .EnumerateFiles(folder.ToString())
                .Where(file => Extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
                .InNaturalOrder(),
        ];
        if (files.Length == 0)
            throw new InvalidOperationException(
                $"The folder '{folder}' has no frames: at least one picture ({string.Join(", ", Extensions)}) is wanted.");
        for (var place = 0; place < frames; place++)
        {
            using var picture = decoder.DecodeFile(files[(int)((long)place * files.Length / frames)]);
            resizer.Write(picture, destination.Slice(place * Column.ByteCount, Column.ByteCount));
        }
        return true;
    }
}
