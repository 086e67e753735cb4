using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.Transforms.Image;

var random = new Random(1);
var rows = Enumerable
    .Range(0, 32)
    .Select(i =>
    {
        var pixels = new byte[Picture.Side * Picture.Side * 4];
        random.NextBytes(pixels);
        return new Picture
        {
            Image = MLImage.CreateFromPixels(Picture.Side, Picture.Side, MLPixelFormat.Bgra32, pixels),
            Label = i % 2 == 0 ? "even" : "odd",
        };
    })
    .ToList();

var mlContext = new MLContext(seed: 1);
var data = mlContext.Data.LoadFromEnumerable(rows);
var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label")
    .Append(mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(new WideNetImageClassifier.Options
    {
        FeatureColumnName = "Image",
        ImageHeight = 8,   // smaller than the pictures: resizing calls SkiaSharp, in the version that came with Microsoft.ML.ImageAnalytics
        ImageWidth = 8,
        PatchSize = 4,
        Architecture = WideNetConfig.Small with { Width = 16, Heads = 2, Blocks = 2, ExpertWidth = 32 },
        Epochs = 1,
        BatchSize = rows.Count,   // one step
    }))
    .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));
var model = pipeline.Fit(data);
mlContext.Model.Save(model, data.Schema, "model.zip");

var loaded = new MLContext().Model.Load("model.zip", out _);
var before = mlContext.Model.CreatePredictionEngine<Picture, Prediction>(model).Predict(rows[0]);
var after = mlContext.Model.CreatePredictionEngine<Picture, Prediction>(loaded).Predict(rows[0]);

Console.WriteLine($"{after.PredictedLabel}: {string.Join(", ", after.Score)}");
var same =
    before.PredictedLabel == after.PredictedLabel && before.Score.Zip(after.Score).All(pair => Math.Abs(pair.First - pair.Second) < 1e-6);

// Decoding calls SkiaSharp too.
rows[0].Image!.Save("picture.png");
var files = mlContext.Data.LoadFromEnumerable([new PictureFile { Path = "picture.png" }]);
var decoded = mlContext.Transforms.LoadPictures("Image", imageFolder: "", "Path")
    .Append(mlContext.Transforms.ResizeImages("Image", Picture.Side, Picture.Side))   // ExtractPixels wants to know the size
    .Append(mlContext.Transforms.ExtractPixels("Pixels", "Image"))
    .Fit(files)
    .Transform(files)
    .GetColumn<float[]>("Pixels")
    .Single();
same &= decoded.Length == 3 * Picture.Side * Picture.Side;
Console.WriteLine(same ? "reloaded: same scores" : "reloaded: other scores");
return same ? 0 : 1;

internal sealed class Picture
{
    public const int Side = 12;

    [ImageType(Side, Side)]
    public MLImage? Image { get; set; }

    public string Label { get; set; } = string.Empty;
}

internal sealed class PictureFile
{
    public string Path { get; set; } = string.Empty;
}

internal sealed class Prediction
{
    public string PredictedLabel { get; set; } = string.Empty;

    public float[] Score { get; set; } = [];
}
