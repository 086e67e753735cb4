namespace Microsoft.ML.MoE.Estimators;

/// <summary>What the model reads of a row.</summary>
/// <param name="Picture">An image, or the frames of a video, as an <see cref="ImageReader"/> writes them; null where there is none.</param>
/// <param name="Text">The tokens of a text, an end behind them unless they were cut and words are predicted in their order; null where
/// there is none.</param>
/// <param name="Label">The class, from 0, where the task has classes.</param>
internal sealed record GeneralistExample(byte[]? Picture, int[]? Text, int Label = 0);
