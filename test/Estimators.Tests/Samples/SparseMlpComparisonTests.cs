using Estimators.Tests.Support;
using FashionMnist;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using Samples.Comparison;
using SparseMlpComparison;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class SparseMlpComparisonTests
{
    [TestMethod]
    [DataRow(28, 463_114L, 541_634L, 533_514L)]   // 28²·1 in patches of 7
    [DataRow(32, 463_114L + (96 * 15), 541_634L + (104 * 15), 533_514L + (96 * 15))]   // in patches of 8, which have 15 pixels more
    public void TheModels_HaveTheParametersThatTheirSizesSay(int side, long mixer, long wider, long sparse)
    {
        var costs = new ExperimentCatalog(side).Models.Variants.Select(variant =>
        {
            var ml = new MLContext(seed: 1);
            var rows = Enumerable.Range(0, 20).Select(i => new GreyRow { Image = new float[side * side], Label = $"{i % 10}" });
            var definition = SchemaDefinition.Create(typeof(GreyRow));
            definition["Image"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 1, side, side);
            var data = ml.Data.LoadFromEnumerable(rows, definition);
            data = ml.Transforms.Conversion.MapValueToKey("Label").Fit(data).Transform(data);
            using var model = variant.CreateEstimator(ml, options => (options.FeatureColumnName, options.Epochs) = ("Image", 1)).Fit(data);
            return model.Model.Config.GetCost();
        }).ToArray();

        CollectionAssert.AreEqual(new[] { mixer, wider, sparse }, costs.Select(cost => cost.Parameters).ToArray());
        Assert.IsLessThan(costs[1].ForwardMacs, costs[2].ForwardMacs, "fewer multiply-adds than the dense model of its parameters");
    }

    [TestMethod]
    public void TheAblations_BeginWithTheMainModel()
    {
        var catalog = new ExperimentCatalog(28);
        CollectionAssert.AreEqual(ExperimentCatalog.AblationNames.ToArray(), catalog.Ablations.Select(ablation => ablation.Name).ToArray());
        Assert.IsTrue(catalog.Ablations.All(ablation => ablation.Variants[0].Name == ExperimentCatalog.MainVariant));
        foreach (var experiment in catalog.Ablations.Append(catalog.Models).Append(catalog.Labels))
        {
            Assert.IsLessThanOrEqualTo(
                20_000, experiment.TrainingImages + experiment.UnlabelledImages + experiment.HeldOutImages, "what comes with the samples");
            foreach (var variant in experiment.Variants)
                Assert.IsNotNull(variant.CreateEstimator(new MLContext(seed: 1), _ => { }), "the estimator checks the architecture");
        }
    }

    [TestMethod]
    public void TheImagesThatComeWithTheSamples_AreReadWithoutAFolder()
    {
        var images = Images.Read(null);
        Assert.AreEqual((28, 20_000), (images.Side, images.TrainingImages));
        var ml = new MLContext(seed: 1);
        CollectionAssert.AreEqual(
            new uint[] { 10, 1, 1 },
            images.Training(ml, ..3).GetColumn<uint>("Label").ToArray(),
            "an ankle boot and two T-shirts, in the classes' published order");
        Assert.AreEqual(10_000, images.Test(ml).GetColumn<uint>("Label").Count());
        Assert.HasCount(784, images.Training(ml, ^1..).GetColumn<byte[]>("Image").Single());
    }

    [TestMethod]
    public void PicturesByClass_AreMixed()
    {
        var root = Directory.CreateTempSubdirectory("sparse-mlp-");
        try
        {
            foreach (var picture in Colours.Pictures(40))
            {
                using var image = picture.Features!;
                image.Save(
                    Path.Combine(
                        root.CreateSubdirectory(Path.Combine(picture.Id % 4 == 0 ? "test" : "train", picture.Label!)).FullName,
                        $"{picture.Id}.png"));
            }

            var images = Images.Read(root.FullName);
            Assert.AreEqual((32, 30), (images.Side, images.TrainingImages));
            var labels = images.Training(new MLContext(seed: 1), ..).GetColumn<uint>("Label").ToArray();
            CollectionAssert.AreNotEqual(labels.Order().ToArray(), labels, "not by class");
            var test = images.Test(new MLContext(seed: 1));
            Assert.HasCount(10, test.GetColumn<uint>("Label").ToArray());
            Assert.IsInstanceOfType<ImageDataViewType>(test.Schema["Image"].Type);
        }
        finally
        {
            root.Delete(recursive: true);
        }
    }

    [TestMethod]
    public void AFolderWithoutImages_SaysWhatIsMissing()
    {
        var root = Directory.CreateTempSubdirectory("sparse-mlp-");
        StringAssert.Contains(
            Assert.ThrowsExactly<FileNotFoundException>(() => Images.Read(root.FullName)).Message, "neither 'train-images-idx3-ubyte.gz'");
        root.Delete();
        Assert.ThrowsExactly<DirectoryNotFoundException>(() => Images.Read(root.FullName));
    }

    [TestMethod]
    public void TheArguments_SayWhatIsTrained()
    {
        Assert.AreEqual(new CommandLine(null, 1, null, null, null, null), Read());
        Assert.AreEqual(new CommandLine(null, 3, null, null, null, "samples/SparseMlp/results"), Read("seeds", "3"));
        Assert.AreEqual(
            new CommandLine("experts", 2, null, null, null, "samples/SparseMlp/results"), Read("ablate", "experts", "seeds", "2"));
        var line = Read("ablate", "position", "--data", ".", "--images", "50", "--epochs", "2", "--results", "r");
        Assert.AreEqual(new CommandLine("position", 3, ".", 50, 2, "r"), line);
        Assert.AreEqual("ablate position seeds 3 --data DIR --images 50 --epochs 2", line.Command);
        Assert.AreEqual("seeds 1", Read().Command);
    }

    [TestMethod]
    public void TheNumbersAskedFor_ReplaceTheExperiments()
    {
        var (catalog, line) = (new ExperimentCatalog(28), new CommandLine("position", 3, null, 50, 2, null));
        var (models, labels) = (line.ApplyTo(catalog.Models), line.ApplyTo(catalog.Labels));
        Assert.AreEqual((50, 2, 0), (models.TrainingImages, models.Epochs, models.UnlabelledImages));
        Assert.AreEqual((1000, 2, 50, 2), (labels.TrainingImages, labels.Epochs, labels.UnlabelledImages, labels.PretrainingEpochs));
    }

    [TestMethod]
    [DataRow("compare", "'compare'")]
    [DataRow("seeds", "'seeds'")]
    [DataRow("seeds 0", "seeds is '0'; a whole number of at least 1 is wanted")]
    [DataRow("ablate", "'ablate'")]
    [DataRow("ablate router", "'router'")]
    [DataRow("--images ten", "--images is 'ten'")]
    [DataRow("--data", "'--data'")]
    public void WrongArguments_SayWhatIsWrong(string arguments, string message) => StringAssert.Contains(
        string.Join(' ', CommandLine.CreateCommand(_ => 0).Parse(arguments.Split(' ')).Errors.Select(error => error.Message)), message);

    private static CommandLine Read(params string[] arguments)
    {
        CommandLine? read = null;
        CommandLine.CreateCommand(line =>
        {
            read = line;
            return 0;
        }).Parse(arguments).Invoke();
        return read!;
    }

    private sealed class GreyRow
    {
        public float[] Image { get; set; } = [];

        public string Label { get; set; } = "";
    }
}
