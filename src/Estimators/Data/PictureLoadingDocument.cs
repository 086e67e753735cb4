using System.Drawing;
using System.Text.Json;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What a model zip says about a loader of pictures.</summary>
internal sealed record PictureLoadingDocument
{
    /// <summary>Column that receives the pictures.</summary>
    public required string OutputColumn { get; init; }

    /// <summary>Column with the files.</summary>
    public required string InputColumn { get; init; }

    /// <summary>Folder of files whose names have no root.</summary>
    public required string ImageFolder { get; init; }

    /// <summary>Red, green and blue, 0 to 255.</summary>
    public required byte[] Background { get; init; }

    /// <summary>Pixels that a picture may have.</summary>
    public required long MaxPixels { get; init; }

    /// <summary>Whether pictures that are incomplete are taken.</summary>
    public required bool AcceptIncomplete { get; init; }

    /// <summary>Reads one.</summary>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static PictureLoadingDocument FromJson(string json)
    {
        try
        {
            if (JsonSerializer.Deserialize<PictureLoadingDocument>(json) is { Background.Length: 3 } document)
            {
                document.ToOptions().Validate();
                return document;
            }
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            throw new InvalidDataException($"the loader of pictures is not described as it should be: {e.Message}");
        }
        throw new InvalidDataException("the loader of pictures is not described as it should be.");
    }

    /// <summary>As JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this);

    /// <summary>As options.</summary>
    public PictureLoader.Options ToOptions() => new()
    {
        OutputColumnName = OutputColumn,
        InputColumnName = InputColumn,
        ImageFolder = ImageFolder,
        Background = Color.FromArgb(Background[0], Background[1], Background[2]),
        MaxPixels = MaxPixels,
        AcceptIncomplete = AcceptIncomplete,
    };
}
