// WideNet on any folder of pictures by class: the README's pipeline with a command line. It trains, evaluates, saves a model zip, and
// scores some pictures with it in another process.
//
//     dotnet run -c Release --project samples/FolderOfImages -- --data DIR                      DIR/train/CLASS/* and DIR/test/CLASS/*, or DIR/CLASS/*
//     dotnet run -c Release --project samples/FolderOfImages -- --data DIR --recipe cifar10     CIFAR-10 as such a folder: results/ says how the recipe was chosen
//     dotnet run -c Release --project samples/FolderOfImages -- --data DIR --checkpoints DIR    the same command again goes on where an interrupted one stopped
//     dotnet run -c Release --project samples/FolderOfImages -- --score PICTURE...              classifies pictures with the saved model

using System.Diagnostics;
using FolderOfImages;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Samples;

const int Seed = 1;
const int MostClassesInTable = 20;
const int ScoredPictures = 5;
const int StepsBetweenCheckpoints = 200;

return await Arguments.RunAsync(
    CommandLine.CreateCommand(line =>
        line.Data is { } directory ? Train(line, ImageFolder.Read(directory, Seed)) : ModelScorer.Run(line.ModelFile, line.Pictures)),
    args);

static int Train(CommandLine line, ImageFolder folder)
{
    Console.WriteLine(
        $"{folder.Train.Count:N0} pictures to train on and {folder.Test.Count:N0} to test, {folder.Classes.Count} classes"
        + (folder.OtherFiles > 0 ? $"; {folder.OtherFiles:N0} other files left out" : ""));
    var mlContext = new MLContext(Seed);
    var train = mlContext.Data.LoadFromEnumerable(folder.Train);
    var test = mlContext.Data.LoadFromEnumerable(folder.Test);

    var clock = Stopwatch.StartNew();
    var model = TrainingDisplay.Show(progress =>
    {
        var options = Recipes.Create(line.Recipe);
        options.FeatureColumnName = "Image";
        options.Epochs = line.Epochs ?? options.Epochs;
        options.ImageHeight = line.Size ?? options.ImageHeight;
        options.ImageWidth = line.Size ?? options.ImageWidth;
        options.ValidationFraction = line.Validation;
        if (line.Checkpoints is not null)   // goes on where a checkpoint stands, and begins where there is none
            options.Checkpoints = new(line.Checkpoints) { EverySteps = StepsBetweenCheckpoints, Resume = true };
        options.Progress = progress;

        var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.Transforms.LoadPictures("Image", imageFolder: "", nameof(ImageFile.Path)))
            .Append(mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(options))
            .Append(mlContext.Transforms.Conversion.MapKeyToValue("Class", "PredictedLabel"));
        return pipeline.Fit(train);
    });
    var unread = model.OfType<ImageClassificationTransformer>().Single().Training!.UnreadableImages;
    Console.WriteLine($"trained in {clock.Elapsed:h\\:mm\\:ss}; {unread:N0} pictures could not be read");

    // A picture that cannot be read has scores of NaN.
    var scored = mlContext.Data.FilterRowsByMissingValues(model.Transform(test), "Score");
    var metrics = mlContext.MulticlassClassification.Evaluate(scored);
    if (folder.Classes.Count <= MostClassesInTable)
        Console.WriteLine(metrics.ConfusionMatrix.GetFormattedConfusionTable());
    var evaluated = metrics.ConfusionMatrix.Counts.Sum(row => row.Sum());
    Console.WriteLine(
        $"log-loss {metrics.LogLoss:F4}, accuracy {metrics.MicroAccuracy:F4} on {evaluated:N0} test pictures; "
            + $"{folder.Test.Count - evaluated:N0} could not be read");

    mlContext.Model.Save(model, train.Schema, line.ModelFile);
    Console.WriteLine($"saved {line.ModelFile}, {new FileInfo(line.ModelFile).Length / 1024:N0} KB; loading it in another process");

    var some = folder.Test.Chunk(Math.Max(1, folder.Test.Count / ScoredPictures)).Take(ScoredPictures).Select(chunk => chunk[0].Path);
    using var process = Process.Start(
        SameProgram.With(Environment.ProcessPath!, typeof(ModelScorer).Assembly.Location, ["--model", line.ModelFile, "--score", .. some])
    )!;
    process.WaitForExit();
    return process.ExitCode;
}
