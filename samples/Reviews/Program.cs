// Classifies texts, reviews of food or those of two files of yours, beside what ML.NET has for it.
//
//     dotnet run -c Release --project samples/Reviews                                   from random weights, in a minute or two
//     dotnet run -c Release --project samples/Reviews -- --pretrained DIR               from a BERT, such as all-MiniLM-L6-v2
//     dotnet run -c Release --project samples/Reviews -- --train FILE --test FILE --label 1 --text 0 --header

using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Interchange;
using Reviews;
using Samples;

var train = new Option<string?>("--train") { Description = "File to train on, its columns separated by tabs.", HelpName = "FILE" };
var test = new Option<string?>("--test") { Description = "File to measure on.", HelpName = "FILE" };
var label = new Option<int>("--label") { Description = "Column of the label, from 0.", HelpName = "N" };
var text = new Option<int>("--text") { Description = "Column of the text, from 0.", HelpName = "N", DefaultValueFactory = _ => 1 };
var header = new Option<bool>("--header") { Description = "The first line names the columns." };
var pretrained = Arguments.Folder(
    "--pretrained", "Folder of a BERT or an ALBERT: config.json, model.safetensors, vocab.txt. Without, from random weights.");
var epochs = Arguments.Number("--epochs", "Passes over the training texts.");
var maxTokens = Arguments.Number("--tokens", "Tokens of a text that are read at most. Default 192.");
var seed = Arguments.Number("--seed", "Decides weights and order. Default 1.");
var held = new Option<double>("--held")
{
    Description = "Part of the training texts that is set apart, of which the best epoch is told. Default 0: the last epoch.",
    HelpName = "P",
};
var command = new RootCommand("Classifies texts, beside FeaturizeText with a linear model.")
{
    train, test, label, text, header, pretrained, epochs, maxTokens, seed, held,
};
command.SetAction(line =>
{
    var (training, measured) = line.GetValue(train) is { } file
        ? (Read(line, file),
            Read(line, line.GetValue(test) ?? throw new InvalidDataException("--train is given, and --test is not.")))
        : (ReviewFile.Shipped("train"), ReviewFile.Shipped("test"));
    Console.WriteLine($"{training.Length:n0} texts to train on, {measured.Length:n0} to measure on");
    var most = measured.GroupBy(review => review.Label).Max(group => group.Count());
    Console.WriteLine($"always the most frequent class: accuracy {Share(most, measured.Length)}");

    var folder = line.GetValue(pretrained);
    var weights = folder is null ? null : PretrainedWeights.FromFolder(folder);   // a wrong folder is told before anything is trained
    var mlContext = new MLContext(seed: line.GetValue(seed) ?? 1);
    var trainingView = mlContext.Data.LoadFromEnumerable(training);
    var testView = mlContext.Data.LoadFromEnumerable(measured);
    Measure(mlContext, "FeaturizeText and SdcaMaximumEntropy", testView, () =>
        mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.Transforms.Text.FeaturizeText("Features", "Text"))
            .Append(mlContext.MulticlassClassification.Trainers.SdcaMaximumEntropy())
            .Fit(trainingView));

    var options = new WideNetTextClassifier.Options
    {
        PretrainedWeights = weights,
        Epochs = line.GetValue(epochs),
        MaxTokens = line.GetValue(maxTokens) ?? 192,
        ValidationFraction = line.GetValue(held),
        Progress = progress =>
        {
            if (progress.EpochCompleted)
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"epoch {progress.Epoch} of {progress.TotalEpochs}: loss {progress.Loss:0.000}"
                        + $"{(progress.Validation is { } validation ? $", held out {validation.Metric:0.000}" : "")}, "
                        + $"{progress.SamplesPerSecond:0} texts/s"));
        },
    };
    Measure(mlContext, folder is null ? "WideNetTextClassifier" : $"WideNetTextClassifier from {Path.GetFileName(folder)}", testView, () =>
        mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.MulticlassClassification.Trainers.WideNetTextClassifier(options))
            .Fit(trainingView));
    return 0;

    Review[] Read(ParseResult from, string path) =>
        ReviewFile.Read(path, from.GetValue(label), from.GetValue(text), from.GetValue(header));
});
return await Arguments.RunAsync(command, args);

static void Measure(MLContext mlContext, string name, IDataView test, Func<ITransformer> train)
{
    using var process = Process.GetCurrentProcess();
    var (before, clock) = (process.TotalProcessorTime, Stopwatch.StartNew());
    var model = train();
    process.Refresh();
    var (seconds, processor) = (clock.Elapsed.TotalSeconds, (process.TotalProcessorTime - before).TotalSeconds);
    var metrics = mlContext.MulticlassClassification.Evaluate(model.Transform(test));
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{name}: trained in {seconds:0} s ({processor:0} s of the processor), accuracy {metrics.MicroAccuracy:0.000}"));
    (model as IDisposable)?.Dispose();
}

static string Share(int part, int whole) => ((double)part / whole).ToString("0.000", CultureInfo.InvariantCulture);
