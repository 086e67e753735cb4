// Sparse-MLP beside dense MLP-Mixers, and what pre-training without labels gives where labels are few; the paper's ablations on request.
//
//     dotnet run -c Release --project samples/SparseMlp                          on the Fashion-MNIST images that come with samples/FashionMnist, one seed
//     dotnet run -c Release --project samples/SparseMlp -- seeds 3               three seeds; writes the tables to samples/SparseMlp/results
//     dotnet run -c Release --project samples/SparseMlp -- ablate position       how many experts, how many are chosen, which blocks are sparse, re-represent layers: ExperimentCatalog.cs
//     dotnet run -c Release --project samples/SparseMlp -- --data DIR            the four official files of Fashion-MNIST, or pictures as DIR/train/CLASS/* and DIR/test/CLASS/*, such as CIFAR-10

using System.Globalization;
using Samples;
using Samples.Comparison;
using SparseMlpComparison;

return await Arguments.RunAsync(CommandLine.CreateCommand(Compare), args);

static int Compare(CommandLine line)
{
    var images = Images.Read(line.Data);
    var catalog = new ExperimentCatalog(images.Side);
    IReadOnlyList<Experiment> experiments = line.Ablation is null
        ? [catalog.Models, catalog.Labels]
        : [catalog.Ablations.Single(ablation => ablation.Name == line.Ablation)];

    var trained = experiments
        .SelectMany(experiment => ComparisonRun.Run(line.ApplyTo(experiment), images, line.Seeds, line.Command, line.Results))
        .ToList();
    var accuracies = trained.Where(run => run.Variant == ExperimentCatalog.MainVariant).Select(run => run.TestAccuracy);
    Console.WriteLine(
        string.Create(CultureInfo.InvariantCulture, $"accuracy {Spread.Of(accuracies, "F4")} of {ExperimentCatalog.MainVariant}"));
    return 0;
}
