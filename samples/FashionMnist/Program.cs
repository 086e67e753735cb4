// WideNet on Fashion-MNIST: an ordinary ML.NET pipeline that trains, evaluates, saves a model zip, and loads it in another process.
//
//     dotnet run -c Release --project samples/FashionMnist                    on the 20,000 training images that come with the sample
//     dotnet run -c Release --project samples/FashionMnist -- --data DIR      on all 60,000, from the official files in DIR
//     dotnet run -c Release --project samples/FashionMnist -- compare         WideNet beside ViT and ViT-MoE; Comparison/ExperimentCatalog.cs has the other experiments

using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using FashionMnist;
using FashionMnist.Comparison;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Samples;

// The pipeline says nothing of network, passes, batches or rates: they are chosen by the data, with what was found on training images that
// were held out (results/2026-11-30.md). The test images only evaluate.
const string ModelFile = "model.zip";
const string ScoreCommand = "score";
const string ExpertLoadFile = "expert-load.json";

var data = Arguments.Folder("--data", "The four official files, with 60,000 training images.");
var command = new RootCommand("Trains WideNet on Fashion-MNIST, saves the model, and loads it in another process.")
{
    data, ComparisonCommand.Create(), Arguments.SecondProcess(ScoreCommand, folder => Task.FromResult(ModelScorer.Run(ModelFile, folder))),
};
command.SetAction(line => Train(line.GetValue(data) ?? FashionMnistData.ShippedDirectory));
return await Arguments.RunAsync(command, args);

static int Train(string directory)
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
                // A shoe may point either way, in training and in scoring.
                AlternatingFlips = true,
                ScoringViews = ScoringViews.Mirrored,
                Progress = progress,
            }));
        return pipeline.Fit(train);
    });

    var metrics = mlContext.MulticlassClassification.Evaluate(model.Transform(test));
    Console.WriteLine(metrics.ConfusionMatrix.GetFormattedConfusionTable());
    Console.WriteLine($"log-loss {metrics.LogLoss:F4}, accuracy {metrics.MicroAccuracy:F4} on the test set, as trained");

    mlContext.Model.Save(model, train.Schema, ModelFile);
    Console.WriteLine($"saved {ModelFile}, {new FileInfo(ModelFile).Length / 1024:N0} KB; loading it in another process");

    // Which experts serve which classes: a picture of it, beside the curves that the zip holds, comes from DrawTraining.cs.
    File.WriteAllText(ExpertLoadFile, JsonSerializer.Serialize(model.LastTransformer.GetExpertLoad(model.Transform(test))));

    using var process = Process.Start(
        SameProgram.With(Environment.ProcessPath!, typeof(ModelScorer).Assembly.Location, ScoreCommand, directory)
    )!;
    process.WaitForExit();
    return process.ExitCode;
}
