namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A data view with its image column and, where labels are wanted, its label column, and its weight column if it has one.
/// </summary>
internal sealed record ImageData(IDataView View, ImageColumn Images, LabelColumn? Labels, WeightColumn? Weights = null)
{
    /// <summary>Opens a reader over the rows that have both an image and a label; an image alone where no labels are wanted.</summary>
    /// <param name="crops">The parts of pictures that are wanted; null for what resizing takes.</param>
    public ImageRows Open(PictureCrops? crops = null) => new(this, crops);
}
