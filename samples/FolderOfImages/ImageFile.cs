namespace FolderOfImages;

/// <summary>One row: a picture's file and what it shows.</summary>
public sealed class ImageFile
{
    /// <summary>The file, from the working folder or from the root.</summary>
    public string Path { get; set; } = string.Empty;

    /// <summary>The class: the name of the picture's folder; empty for a picture that is only to be scored.</summary>
    public string Label { get; set; } = string.Empty;
}
