using Microsoft.ML;

namespace Samples.Comparison;

/// <summary>
/// The images that experiments train and test on, in a column "Image", with a key in "Label" that numbers the classes alike in every
/// part of them.
/// </summary>
/// <param name="Name">What to call the set in a message.</param>
/// <param name="Side">Height and width of the model's images in pixels; pictures of another size are resized.</param>
/// <param name="TrainingImages">How many there are to train on.</param>
/// <param name="Training">Some of those, by their places.</param>
/// <param name="Test">All that there are to test on.</param>
internal sealed record ImageSet(
    string Name, int Side, int TrainingImages, Func<MLContext, Range, IDataView> Training, Func<MLContext, IDataView> Test)
{
    /// <summary>A set from rows with a text in "Label".</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="side">Height and width of the model's images in pixels.</param>
    /// <param name="train">The training images, in an order that mixes the classes.</param>
    /// <param name="test">The test images.</param>
    /// <param name="classes">All classes; their order numbers them.</param>
    /// <param name="loadImages">Adds the column "Image"; null where the rows have it.</param>
    public static ImageSet Create<TRow>(
        string name,
        int side,
        IReadOnlyList<TRow> train,
        IReadOnlyList<TRow> test,
        IReadOnlyList<string> classes,
        Func<MLContext, IDataView, IDataView>? loadImages = null)
        where TRow : class
    {
        return new(name, side, train.Count, (mlContext, range) => Load(mlContext, train.Take(range)), mlContext => Load(mlContext, test));

        IDataView Load(MLContext mlContext, IEnumerable<TRow> rows)
        {
            var key = mlContext
                .Transforms.Conversion.MapValueToKey("Label")
                .Fit(mlContext.Data.LoadFromEnumerable(classes.Select(label => new ClassRow { Label = label })));
            var data = key.Transform(mlContext.Data.LoadFromEnumerable(rows));
            return loadImages is null ? data : loadImages(mlContext, data);
        }
    }

    private sealed class ClassRow
    {
        public string Label { get; set; } = "";
    }
}
