namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A data view with its image column and, where labels are wanted, its label column, and its weight column if it has one.
/// </summary>
internal sealed record ImageData(IDataView View, ImageColumn Images, LabelColumn? Labels, WeightColumn? Weights = null)
{
    /// <summary>The columns that are read.</summary>
    public DataViewSchema.Column[] Columns =>
        [.. new[] { Images.Name, Labels?.Name, Weights?.Name }.OfType<string>().Distinct().Select(name => View.Schema[name])];

    /// <summary>Opens a reader over the rows that have both an image and a label; an image alone where no labels are wanted.</summary>
    /// <param name="crops">The parts of pictures that are wanted; null for what resizing takes.</param>
    public ImageRows Open(PictureCrops? crops = null) => new(this, crops);
}
