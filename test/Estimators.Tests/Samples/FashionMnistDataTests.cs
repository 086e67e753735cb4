using System.Buffers.Binary;
using System.IO.Compression;
using FashionMnist;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class FashionMnistDataTests
{
    [TestMethod]
    public void TheShippedPart_IsTheFirst20000AndTheWholeTestSet()
    {
        var train = FashionMnistData.ReadTrain(FashionMnistData.ShippedDirectory);
        var test = FashionMnistData.ReadTest(FashionMnistData.ShippedDirectory);

        Assert.HasCount(20_000, train);
        Assert.HasCount(10_000, test);
        Assert.IsTrue(
            FashionMnistData.ClassNames.All(name => test.Count(i => i.Label == name) == 1000),
            "the official test set has 1000 of each class");

        // The published set: training image 0 is an ankle boot, mean 72.940 over all 60,000 training images; test mean 73.147.
        Assert.AreEqual("Ankle boot", train[0].Label);
        Assert.AreEqual("T-shirt/top", train[1].Label);
        Assert.AreEqual(72.940, train.Average(i => i.Image.Average(p => p)), 0.5);
        Assert.AreEqual(73.147, test.Average(i => i.Image.Average(p => p)), 0.001);
    }

    [TestMethod]
    public void TheOfficialFiles_AreRead()
    {
        using var folder = new IdxFolder();
        folder.Write(
            "train-images-idx3-ubyte.gz", [0x803, 2, 28, 28], Enumerable.Repeat((byte)9, 784).Concat(Enumerable.Repeat((byte)200, 784)));
        folder.Write("train-labels-idx1-ubyte.gz", [0x801, 2], [1, 8]);

        var rows = FashionMnistData.ReadTrain(folder.Path);
        CollectionAssert.AreEqual(new[] { "Trouser", "Bag" }, rows.Select(r => r.Label).ToArray());
        Assert.IsTrue(rows[1].Image is { Length: 784 } pixels && pixels.All(p => p == 200));
    }

    [TestMethod]
    [DataRow(0x801, 2, 28, 1568, 2, 1, "magic number is 0x00000801, 0x00000803 is wanted")]
    [DataRow(0x803, 2, 32, 1568, 2, 1, "a side of 32 pixels; 28 are wanted")]
    [DataRow(0x803, 2, 28, 1567, 2, 1, "ends too early")]
    [DataRow(0x803, -2, 28, 1568, 2, 1, "holds -2 items")]
    [DataRow(0x803, 1, 28, 784, 2, 1, "1 images and 2 labels")]
    [DataRow(0x803, 2, 28, 1568, 2, 10, "the label 10")]
    public void WrongFiles_SayWhatIsWrong(int magic, int images, int side, int bytes, int labels, int label, string message)
    {
        using var folder = new IdxFolder();
        folder.Write("t10k-images-idx3-ubyte.gz", [magic, images, side, 28], new byte[bytes]);
        folder.Write("t10k-labels-idx1-ubyte.gz", [0x801, labels], Enumerable.Repeat((byte)label, labels));

        var error = Assert.ThrowsExactly<InvalidDataException>(() => FashionMnistData.ReadTest(folder.Path));
        StringAssert.Contains(error.Message, message);
        StringAssert.Contains(error.Message, folder.Path);
    }

    [TestMethod]
    public void AFolderWithoutTheFiles_NamesWhatIsMissing()
    {
        using var folder = new IdxFolder();
        var error = Assert.ThrowsExactly<FileNotFoundException>(() => FashionMnistData.ReadTrain(folder.Path));
        StringAssert.Contains(error.Message, "neither 'train-images-idx3-ubyte.gz' nor 'train-images-idx3-ubyte.0.br'");
    }

    private sealed class IdxFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("fashion-mnist-").FullName;

        public void Write(string name, int[] header, IEnumerable<byte> data)
        {
            using var gzip = new GZipStream(File.Create(System.IO.Path.Combine(Path, name)), CompressionLevel.Fastest);
            Span<byte> number = stackalloc byte[4];
            foreach (var value in header)
            {
                BinaryPrimitives.WriteInt32BigEndian(number, value);
                gzip.Write(number);
            }

            gzip.Write([.. data]);
        }

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
