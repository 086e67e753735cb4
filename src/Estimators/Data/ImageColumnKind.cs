namespace Microsoft.ML.MoE.Estimators;

/// <summary>What a column of images holds. Its names are part of the model file format.</summary>
internal enum ImageColumnKind
{
    /// <summary><see cref="Microsoft.ML.Data.MLImage"/>: decoded pictures of any size, which we resize.</summary>
    Image,

    /// <summary>A vector of bytes, such as <c>ExtractPixels</c> gives with <c>outputAsFloatArray: false</c>.</summary>
    Bytes,

    /// <summary>A vector of floats, such as <c>ExtractPixels</c> gives.</summary>
    Floats,
}
