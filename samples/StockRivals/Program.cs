// Our image classifiers beside what a user of ML.NET already has, on the same images and the same machine.
//
//     dotnet run -c Release --project samples/StockRivals -- fashion               LightGBM on pixels: the images of
//         samples/FashionMnist; --data DIR: all 60,000; --seconds N: ours trains so long at most
//     dotnet run -c Release --project samples/StockRivals -- labels 1000           the same with 1,000 labels, ours
//         pre-trained on the other images; --without-pretraining: on those with labels alone
//     dotnet run -c Release --project samples/StockRivals -- photos --data DIR     ImageNet's ResNet-18 and a linear model:
//         pictures as samples/FolderOfImages takes them
//
// --seeds 3 repeats all of it and prints mean ± standard deviation; --results DIR writes a row for each training; --only ours, or stock,
// runs one side.

using System.CommandLine;
using System.CommandLine.Parsing;
using FashionMnist;
using FolderOfImages;
using Samples;
using StockRivals;

const int PartitionSeed = 1;   // the same images for every seed of the training

var seeds = Arguments.Number("--seeds", "Trainings of each side, from seed 1. Default 1.");
var results = Arguments.Results();
var only = new Option<string?>("--only") { Description = "Runs one side.", HelpName = "ours|stock" };
only.AcceptOnlyFromAmong("ours", "stock");
foreach (Option option in new Option[] { seeds, results, only })
    option.Recursive = true;

var command = new RootCommand("Trains our image classifiers beside stock ML.NET.") { seeds, results, only, Fashion(), Labels(), Photos() };
return await Arguments.RunAsync(command, args);

Command Fashion()
{
    var data = Arguments.Folder("--data", "The four official files of Fashion-MNIST, with 60,000 training images.");
    var seconds = Arguments.Number("--seconds", "Ours trains so long at most. Default: as long as is chosen for the data.");
    var fashion = new Command("fashion", "LightGBM on the pixels of Fashion-MNIST.") { data, seconds };
    fashion.SetAction(line =>
    {
        var folder = line.GetValue(data) ?? FashionMnistData.ShippedDirectory;
        TimeSpan? time = line.GetValue(seconds) is { } number ? TimeSpan.FromSeconds(number) : null;
        return Run(
            line, "fashion", FashionMnistData.ReadTrain(folder), FashionMnistData.ReadTest(folder), Stock.LightGbm, Ours.OnPixels(time));
    });
    return fashion;
}

Command Labels()
{
    var count = new Argument<int>("labels") { CustomParser = result => Arguments.ReadNumber(result, result.Tokens[0].Value) };
    var data = Arguments.Folder("--data", "The four official files of Fashion-MNIST.");
    var without = new Option<bool>("--without-pretraining") { Description = "Ours sees the images with labels alone." };
    var labels = new Command("labels", "As many labels, evenly of the classes; ours pre-trained on the other images.")
    {
        count, data, without,
    };
    labels.SetAction(line =>
    {
        var folder = line.GetValue(data) ?? FashionMnistData.ShippedDirectory;
        var (labelled, others) = Parts.Even(FashionMnistData.ReadTrain(folder), image => image.Label, line.GetValue(count), PartitionSeed);
        return Run(
            line, "labels", labelled, FashionMnistData.ReadTest(folder), Stock.LightGbm,
            (mlContext, progress) => Ours.OnFewLabels(
                mlContext, line.GetValue(without) ? null : mlContext.Data.LoadFromEnumerable(others), progress));
    });
    return labels;
}

Command Photos()
{
    var data = Arguments.Folder("--data", "Pictures as train/CLASS/* and test/CLASS/*, or CLASS/*.");
    data.Required = true;
    var images = Arguments.Number("--images", "Training pictures, evenly of the classes, and test pictures at most. Default all.");
    var photos = new Command("photos", "ResNet-18 with the weights of ImageNet, and a linear model on what it sees.") { data, images };
    photos.SetAction(line =>
    {
        var folder = ImageFolder.Read(line.GetValue(data)!, PartitionSeed);
        return Run(line, "photos", Some(folder.Train), Some(folder.Test), Stock.ResNet18, Ours.OnPhotos);

        IReadOnlyList<ImageFile> Some(IReadOnlyList<ImageFile> all) =>
            line.GetValue(images) is { } most && most < all.Count ? Parts.Even(all, file => file.Label, most, PartitionSeed).Part : all;
    });
    return photos;
}

int Run<TRow>(ParseResult line, string name, IReadOnlyList<TRow> train, IReadOnlyList<TRow> test, Contender stock, Pipeline ours)
    where TRow : class
{
    Contender[] both = [stock, Ours.Contender(ours)];
    var side = line.GetValue(only);
    var contest = new Contest<TRow>(train, test, [.. both.Where(contender => side is null || side == contender.Side)]);
    Report.Write(contest.Run(line.GetValue(seeds) ?? 1, Console.Error.WriteLine), name, line.GetValue(results));
    return 0;
}
