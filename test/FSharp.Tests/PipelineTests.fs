namespace FSharp.Tests

open System
open System.IO
open Microsoft.ML
open Microsoft.ML.Data
open Microsoft.ML.MoE.Estimators
open Microsoft.ML.MoE.Models
open Microsoft.VisualStudio.TestTools.UnitTesting

/// A row of photos.tsv.
[<CLIMutable; NoComparison>]
type Photo =
    { [<LoadColumn(0)>] Path: string
      [<LoadColumn(1)>] Label: string }

[<TestClass>]
type PipelineTests() =

    let folder = Directory.CreateTempSubdirectory("moe-ml-fsharp-").FullName

    let write (count: int) =
        let photos = Directory.CreateDirectory(Path.Combine(folder, "photos")).FullName
        let lines =
            [ for i in 0 .. count - 1 do
                let name, blue, red = if i % 2 = 0 then "sea", 200uy, 20uy else "fire", 20uy, 200uy
                let pixels = Array.init (32 * 32 * 4) (fun at -> match at % 4 with 0 -> blue | 2 -> red | 3 -> 255uy | _ -> byte i)
                use picture = MLImage.CreateFromPixels(32, 32, MLPixelFormat.Bgra32, ReadOnlySpan<byte>(pixels))
                picture.Save(Path.Combine(photos, $"{i}.png"))
                $"{i}.png\t{name}" ]
        File.WriteAllLines(Path.Combine(folder, "photos.tsv"), lines)

    [<TestCleanup>]
    member _.Delete() = Directory.Delete(folder, true)

    [<TestMethod>]
    member _.ThePipelineOfTheReadme_IsWrittenInFSharp() =
        write 60

        let mlContext = MLContext(seed = 1)
        let data = mlContext.Data.LoadFromTextFile<Photo>(Path.Combine(folder, "photos.tsv"))
        let split = mlContext.Data.TrainTestSplit(data, testFraction = 0.2)
        let options =
            WideNetImageClassifier.Options(
                FeatureColumnName = "Image",
                ImageHeight = 32,
                ImageWidth = 32,
                Epochs = 20,
                Architecture = WideNetConfig(WideNetConfig.Small, Blocks = 3))
        let pipeline =
            EstimatorChain()
                .Append(mlContext.Transforms.Conversion.MapValueToKey("Label"))
                .Append(mlContext.Transforms.LoadPictures("Image", Path.Combine(folder, "photos"), "Path"))
                .Append(mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(options))
                .Append(mlContext.Transforms.Conversion.MapKeyToValue("Class", "PredictedLabel"))
        let model = pipeline.Fit(split.TrainSet)
        let accuracy = mlContext.MulticlassClassification.Evaluate(model.Transform(split.TestSet)).MicroAccuracy
        mlContext.Model.Save(model, data.Schema, Path.Combine(folder, "model.zip"))
        let loaded, _ = mlContext.Model.Load(Path.Combine(folder, "model.zip"))

        Assert.IsGreaterThan(0.9, accuracy)
        let classes (transformer: ITransformer) = transformer.Transform(data).GetColumn<string>("Class") |> Seq.toArray
        CollectionAssert.AreEqual(classes model, classes loaded)
