namespace Microsoft.ML.MoE.Inference;

/// <summary>Writes normalised images into memory. May be called from several threads at a time.</summary>
/// <param name="first">The first image.</param>
/// <param name="count">How many.</param>
/// <param name="images_NCHW">Receives them.</param>
internal unsafe delegate void ImageFill(int first, int count, float* images_NCHW);
