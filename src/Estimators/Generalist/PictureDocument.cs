using System.Drawing;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What a model zip says about the images, or the videos, of a generalist.</summary>
internal sealed record PictureDocument
{
    /// <summary>What an image or frame is in the column.</summary>
    public required ImageColumnKind Kind { get; init; }

    /// <summary>The dimensions of it that the column declares.</summary>
    public required int[] Dimensions { get; init; }

    /// <summary>Whether the values come as (H, W, C).</summary>
    public required bool ChannelsLast { get; init; }

    /// <summary>How pictures are resized.</summary>
    public required ImageResizingEstimator.ResizingKind Resizing { get; init; }

    /// <summary>Frames of a video; null for images.</summary>
    public int? Frames { get; init; }

    /// <summary>Whether videos are folders of frames.</summary>
    public bool IsFolder { get; init; }

    /// <summary>
    /// What shows through where a frame of a folder is transparent, as red, green and blue; null for black, as models were trained that do
    /// not say.
    /// </summary>
    public byte[]? Background { get; init; }

    /// <summary>The normalisation of pixels.</summary>
    public required PixelNormalization Normalization { get; init; }

    /// <summary>Describes pictures; null for none.</summary>
    public static PictureDocument? From(GeneralistPictures? pictures) => pictures is null ? null : new()
    {
        Kind = pictures.Column.Frame.Type.Kind,
        Dimensions = [.. pictures.Column.Frame.Type.Dimensions],
        ChannelsLast = pictures.Column.Frame.ChannelsLast,
        Resizing = pictures.Column.Frame.Resizing,
        Frames = pictures.Column.Frames,
        IsFolder = pictures.Column.IsFolder,
        Background = pictures.Column is { IsFolder: true, Background: var colour } ? [colour.R, colour.G, colour.B] : null,
        Normalization = pictures.Normalization,
    };

    /// <summary>How they become the input of a model.</summary>
    /// <param name="column">The name of their column.</param>
    /// <param name="config">The model.</param>
    /// <exception cref="InvalidDataException">What is said is not valid.</exception>
    public GeneralistPictures Read(string column, GeneralistConfig config)
    {
        if (Frames is { } frames && (frames < 1 || frames > config.Frames))
            throw new InvalidDataException($"The videos have {frames} frames; the model takes 1 to {config.Frames}.");
        if (Background is not (null or { Length: 3 }))
            throw new InvalidDataException($"The background of the frames has {Background.Length} numbers; 3 are wanted.");
        Normalization.Validate(config.Channels);
        var shape = new ImageShape(config.Channels, config.ImageHeight, config.ImageWidth);
        return new(
            new PictureColumn(
                new ImageColumn(column, new ImageColumnType(Kind, Dimensions), shape, ChannelsLast, Resizing), Frames, IsFolder)
            {
                Background = Background is [var red, var green, var blue] ? Color.FromArgb(red, green, blue) : Color.Black,
            },
            Normalization);
    }
}
