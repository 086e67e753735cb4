// WideNet on Fashion-MNIST: an ordinary ML.NET pipeline that trains, evaluates, saves a model zip, and loads it in another process.
//
//     dotnet run -c Release --project samples/FashionMnist                    on the 20,000 training images that come with the sample
//     dotnet run -c Release --project samples/FashionMnist -- --data DIR      on all 60,000, from the official files in DIR
//     dotnet run -c Release --project samples/FashionMnist -- compare         WideNet beside ViT and ViT-MoE; Comparison/ExperimentCatalog.cs has the other experiments

using System.Diagnostics;
using System.Text.Json;
using FashionMnist;
using FashionMnist.Comparison;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Samples;

// The options below were chosen on training images that were held out: the last 10,000 for the small set, the last 5,000 for the full one. The test images only evaluate.
const string ModelFile = "model.zip";
const string ExpertLoadFile = "expert-load.json";

try
{
    switch (args)
    {
        case ["--score", var directory]:
            return ModelScorer.Run(ModelFile, directory);
        case ["compare", ..]:
            return ComparisonCommand.Run(args.AsSpan(1));
        case []:
            return Train(FashionMnistData.ShippedDirectory, epochs: 12);
        case ["--data", var directory] when Directory.Exists(directory):
            return Train(directory, epochs: 22);   // three times the images bear more passes before they are learnt by heart
        case ["--data", var directory]:
            Console.Error.WriteLine($"There is no folder '{directory}'.");
            return 2;
        default:
            Console.Error.WriteLine($"Unknown arguments '{string.Join(' ', args)}'. Usage: FashionMnist [--data DIR], or FashionMnist {ComparisonCommand.Usage}");
            return 2;
    }
}
catch (Exception e) when (e is IOException or InvalidDataException)
{
    Console.Error.WriteLine(e.Message);   // a file is missing, damaged, or cannot be written
    return 1;
}

static int Train(string directory, int epochs)
{
    var mlContext = new MLContext(seed: 1);
    var train = mlContext.Data.LoadFromEnumerable(FashionMnistData.ReadTrain(directory));
    var test = mlContext.Data.LoadFromEnumerable(FashionMnistData.ReadTest(directory));

    var model = TrainingDisplay.Show(progress =>
    {
        var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(new WideNetImageClassifier.Options
            {
                FeatureColumnName = "Image",
                Architecture = WideNetConfig.Small with { Blocks = 3 },
                PatchSize = 7,
                Epochs = epochs,
                LearningRate = 3e-3,
                LabelSmoothing = 0,
                HorizontalFlip = true,   // a shoe may point either way
                Progress = progress,
            }));
        return pipeline.Fit(train);
    });

    var metrics = mlContext.MulticlassClassification.Evaluate(model.Transform(test));
    Console.WriteLine(metrics.ConfusionMatrix.GetFormattedConfusionTable());
    Console.WriteLine($"log-loss {metrics.LogLoss:F4}, accuracy {metrics.MicroAccuracy:F4} on the test set, as trained");

    mlContext.Model.Save(model, train.Schema, ModelFile);
    Console.WriteLine($"saved {ModelFile}, {new FileInfo(ModelFile).Length / 1024:N0} KB; loading it in another process");

    // Which experts serve which classes: a picture of it, beside the curves that the zip holds, comes from eng/DrawTraining.cs.
    File.WriteAllText(ExpertLoadFile, JsonSerializer.Serialize(model.LastTransformer.GetExpertLoad(model.Transform(test))));

    using var process = Process.Start(SameProgram.With(Environment.ProcessPath!, typeof(ModelScorer).Assembly.Location, "--score", directory))!;
    process.WaitForExit();
    return process.ExitCode;
}
