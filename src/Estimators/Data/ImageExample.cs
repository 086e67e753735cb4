namespace Microsoft.ML.MoE.Estimators;

/// <summary>One image with its class.</summary>
/// <param name="Pixels">The image as <see cref="ImageReader"/> writes it; valid until the next example is asked for.</param>
/// <param name="Label">The class, from 0.</param>
/// <param name="Row">Number of the row in the data, from 0, unusable rows counted.</param>
/// <param name="Weight">What the row says that it weighs; 1 where it says nothing.</param>
internal readonly record struct ImageExample(ReadOnlyMemory<byte> Pixels, int Label, int Row, float Weight = 1);
