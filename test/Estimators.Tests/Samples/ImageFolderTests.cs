using System.Globalization;
using Estimators.Tests.Support;
using FolderOfImages;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class ImageFolderTests
{
    private readonly string root = Directory.CreateTempSubdirectory("folder-of-images-").FullName;

    [TestCleanup]
    public void Delete() => Directory.Delete(root, recursive: true);

    [TestMethod]
    public void TrainAndTest_AreReadAsTheyAre()
    {
        Write("train/cat", 3);
        Write("train/dog", 2, extension: ".PNG");
        Write("train/empty", 0);
        Write("test/cat", 1);
        File.WriteAllText(Path.Combine(root, "train", "dog", "notes.txt"), "two dogs");

        var folder = ImageFolder.Read(root, seed: 1);
        CollectionAssert.AreEqual(new[] { "cat", "dog" }, folder.Classes.ToArray());
        CollectionAssert.AreEqual(new[] { "cat/0.png", "cat/1.png", "cat/2.png", "dog/0.PNG", "dog/1.PNG" }, Names(folder.Train, "train"));
        CollectionAssert.AreEqual(new[] { "cat/0.png" }, Names(folder.Test, "test"));
        Assert.AreEqual(1, folder.OtherFiles);
        Assert.IsTrue(folder.Train.Concat(folder.Test).All(row => Path.GetFileName(Path.GetDirectoryName(row.Path)) == row.Label));
    }

    [TestMethod]
    public void ClassesAlone_AreSplitWithinEach()
    {
        Write("cat", 10);
        Write("dog", 4);

        var folder = ImageFolder.Read(root, seed: 1);
        Assert.AreEqual(2, folder.Test.Count(row => row.Label == "cat"), "a fifth");
        Assert.AreEqual(1, folder.Test.Count(row => row.Label == "dog"), "at least one");
        CollectionAssert.AreEquivalent(
            Enumerable.Range(0, 10).Select(i => $"cat/{i}.png").Concat(Enumerable.Range(0, 4).Select(i => $"dog/{i}.png")).ToArray(),
            Names([.. folder.Train, .. folder.Test], ""));
        CollectionAssert.AreEqual(Names(folder.Test, ""), Names(ImageFolder.Read(root, seed: 1).Test, ""), "the same seed draws the same");
        Assert.IsTrue(
            Enumerable.Range(2, 20).Any(seed => !Names(ImageFolder.Read(root, seed).Test, "").SequenceEqual(Names(folder.Test, ""))),
            "another seed draws others");
    }

    [TestMethod]
    public void APipeline_TrainsOnTheRows_AndCountsWhatItCannotRead()
    {
        var (red, blue) = (
            Directory.CreateDirectory(Path.Combine(root, "red")).FullName, Directory.CreateDirectory(Path.Combine(root, "blue")).FullName);
        foreach (var picture in Colours.Pictures(20))
        {
            using var image = picture.Features!;
            image.Save(Path.Combine(picture.Id % 2 == 0 ? red : blue, $"{picture.Id}.png"));
        }
        File.WriteAllText(Path.Combine(root, "red", "20.png"), "not an image");

        var ml = new MLContext(seed: 1);
        var folder = ImageFolder.Read(root, seed: 3);
        var rows = ml.Data.LoadFromEnumerable(folder.Train.Concat(folder.Test));
        var options = new WideNetImageClassifier.Options
        {
            Architecture = WideNetConfig.Tiny,
            PatchSize = 4,
            FeatureColumnName = "Image",
            ImageHeight = 8,
            ImageWidth = 8,
            Epochs = 1,
        };
        var pipeline = ml
            .Transforms.Conversion.MapValueToKey("Label")
            .Append(ml.Transforms.LoadPictures("Image", imageFolder: "", nameof(ImageFile.Path)))
            .Append(ml.MulticlassClassification.Trainers.WideNetImageClassifier(options));
        using var model = pipeline.Fit(rows);
        var training = model.LastTransformer.Training!;
        Assert.AreEqual((20, 1), (training.TrainingImages, training.UnreadableImages));
    }

    [TestMethod]
    [DataRow(new string[0], "has no folder with pictures")]
    [DataRow(new[] { "cat/3" }, "has pictures of one class only, 'cat'")]
    [DataRow(new[] { "cat/3", "dog/0" }, "has pictures of one class only, 'cat'")]
    [DataRow(new[] { "cat/3", "dog/1" }, "The class 'dog'")]
    [DataRow(new[] { "train/cat/3", "train/dog/3" }, "has no folder with pictures")]
    [DataRow(new[] { "train/cat/3", "test/cat/3" }, "has pictures of one class only, 'cat'")]
    [DataRow(new[] { "train/cat/3", "train/dog/3", "test/cat/0" }, "test' has no folder with pictures")]
    [DataRow(new[] { "train/cat/3", "train/dog/3", "test/cow/1" }, "has the class 'cow'")]
    public void WrongFolders_SayWhatIsWrong(string[] folders, string message)
    {
        foreach (var folder in folders)
            Write(Path.GetDirectoryName(folder)!, int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture));

        var error = Assert.ThrowsExactly<InvalidDataException>(() => ImageFolder.Read(root, seed: 1));
        StringAssert.Contains(error.Message, message);
        StringAssert.Contains(error.Message, root);
    }

    [TestMethod]
    public void AMissingFolder_IsNamed()
    {
        var error = Assert.ThrowsExactly<DirectoryNotFoundException>(() => ImageFolder.Read(Path.Combine(root, "nowhere"), seed: 1));
        StringAssert.Contains(error.Message, Path.Combine(root, "nowhere"));
    }

    [TestMethod]
    public void TheRecipes_AreValid()
    {
        var ml = new MLContext(seed: 1);
        foreach (var name in Recipes.Names)
            Assert.IsNotNull(
                ml.MulticlassClassification.Trainers.WideNetImageClassifier(Recipes.Create(name)), "the estimator checks them");
        Assert.AreEqual((32, 64), (Recipes.Create(Recipes.Cifar10).ImageHeight, Recipes.Create(Recipes.Default).ImageHeight));
    }

    [TestMethod]
    public void TheArguments_SayWhatIsTrained()
    {
        var train = Read(
            "--data",
            root,
            "--epochs",
            "3",
            "--size",
            "48",
            "--model",
            "m.zip",
            "--recipe",
            "cifar10",
            "--validation",
            "0.1",
            "--checkpoints",
            "c");
        Assert.AreEqual(
            (root, 3, 48, "m.zip", "cifar10", 0.1, "c"),
            (train.Data, train.Epochs, train.Size, train.ModelFile, train.Recipe, train.Validation, train.Checkpoints));
        Assert.AreEqual(
            new CommandLine(root, "model.zip", Recipes.Default, null, null, 0, null, train.Pictures),
            Read("--data", root) with { Pictures = train.Pictures }
        );
    }

    [TestMethod]
    public void TheArguments_SayWhichPicturesAreScored()
    {
        var score = Read("--model", "m.zip", "--score", "a.jpg", "--b.jpg");
        Assert.IsNull(score.Data);
        CollectionAssert.AreEqual(new[] { "a.jpg", "--b.jpg" }, score.Pictures.ToArray());
    }

    [TestMethod]
    [DataRow("", "Either --data says where the pictures to train on are")]
    [DataRow("pictures", "'pictures'")]
    [DataRow("--data", "'--data'")]
    [DataRow("--data nowhere", "--data: there is no folder 'nowhere'")]
    [DataRow("--data . --epochs 0", "--epochs is '0'; a whole number of at least 1 is wanted")]
    [DataRow("--data . --size 3x3", "--size is '3x3'")]
    [DataRow("--data . --validation 1", "--validation is '1'; a number of at least 0 and below 1")]
    [DataRow("--data . --recipe mnist", "'mnist'")]
    [DataRow("--score", "'--score'")]
    [DataRow("--data . --score a.jpg", "Either --data says")]
    public void WrongArguments_SayWhatIsWrong(string arguments, string message)
    {
        var errors = CommandLine.CreateCommand(_ => 0).Parse(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Errors;
        StringAssert.Contains(string.Join(' ', errors.Select(error => error.Message)), message);
    }

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

    private string[] Names(IEnumerable<ImageFile> rows, string below) =>
        [.. rows.Select(row => Path.GetRelativePath(Path.Combine(root, below), row.Path).Replace(Path.DirectorySeparatorChar, '/'))];

    private void Write(string folder, int count, string extension = ".png")
    {
        var directory = Directory.CreateDirectory(Path.Combine(root, folder)).FullName;
        for (var i = 0; i < count; i++)
            File.WriteAllBytes(Path.Combine(directory, $"{i}{extension}"), []);
    }
}
