using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Images that an estimator's options ask for.</summary>
/// <param name="ColumnName">Name of their column.</param>
/// <param name="Channels">Channels wanted; null for what the column says.</param>
/// <param name="Height">Height wanted in pixels; null for what the column says.</param>
/// <param name="Width">Width wanted in pixels; null for what the column says.</param>
/// <param name="Resizing">How pictures of another size are brought to this one.</param>
/// <param name="Usual">What they are where neither the options nor the column says; null for colour pictures of 224×224.</param>
internal sealed record WantedImages(
    string ColumnName, int? Channels, int? Height, int? Width, ImageResizingEstimator.ResizingKind Resizing, ImageShape? Usual = null);
