using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Transforms.Image;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

[TestClass]
public sealed class ImageColumnTypeTests
{
    [TestMethod]
    [DataRow(new[] { 3, 8, 10 }, null, null, null, 3, 8, 10, false, DisplayName = "ExtractPixels: channels first")]
    [DataRow(new[] { 8, 10, 3 }, null, null, null, 3, 8, 10, true, DisplayName = "ExtractPixels, interleaved: channels last")]
    [DataRow(new[] { 1, 28, 28 }, null, null, null, 1, 28, 28, false, DisplayName = "grey")]
    [DataRow(new[] { 3, 4, 3 }, null, null, null, 3, 4, 3, false, DisplayName = "both ends fit: not interleaved")]
    [DataRow(new[] { 3, 4, 1 }, 1, null, null, 1, 3, 4, true, DisplayName = "the options say how many channels")]
    [DataRow(new[] { 28, 20 }, null, null, null, 1, 28, 20, false, DisplayName = "two dimensions are grey")]
    [DataRow(new[] { 784 }, null, 28, 28, 1, 28, 28, false, DisplayName = "flat, grey")]
    [DataRow(new[] { 2352 }, null, 28, 28, 3, 28, 28, false, DisplayName = "flat, colour")]
    [DataRow(new[] { 8, 3, 8, 8 }, 24, 8, 8, 24, 8, 8, false, DisplayName = "more dimensions are flat")]
    public void Vectors_TellTheirShape(int[] dimensions, int? channels, int? height, int? width, int c, int h, int w, bool last)
    {
        var type = ImageColumnType.From(new VectorDataViewType(NumberDataViewType.Single, dimensions))!;
        Assert.AreEqual((new ImageShape(c, h, w), last), type.Resolve("Features", channels, height, width));
    }

    [TestMethod]
    [DataRow(new[] { 784 }, null, null, null, "set ImageHeight and ImageWidth")]
    [DataRow(new[] { 784 }, null, 28, null, "set ImageHeight and ImageWidth")]
    [DataRow(new[] { 783 }, null, 28, 28, "a vector of 783 numbers; an image of 28×28 with whole channels has a multiple of 784")]
    [DataRow(new[] { 784 }, 3, 28, 28, "an image of 28×28 with 3 channels has 2352")]
    [DataRow(
        new[] { 8, 8, 8 },
        null,
        null,
        null,
        "(8, 8, 8); wanted (channels, height, width) or (height, width, channels) with 1 to 4 channels"
    )]
    [DataRow(new[] { 3, 8, 8 }, 1, null, null, "with 1 channels")]
    [DataRow(new[] { 3, 8, 8 }, null, 16, 16, "holds images of 8×8 with 3 channels, but the options ask for 16×16 with 3 channels")]
    public void VectorsThatDoNotFit_SaySo(int[] dimensions, int? channels, int? height, int? width, string message)
    {
        var type = ImageColumnType.From(new VectorDataViewType(NumberDataViewType.Single, dimensions))!;
        var error = Assert.ThrowsExactly<ArgumentException>(() => type.Resolve("Pixels", channels, height, width));
        StringAssert.Contains(error.Message, message);
        StringAssert.Contains(error.Message, "'Pixels'");
    }

    [TestMethod]
    public void Pictures_HaveTheSizeOfTheOptions_OrTheirOwn_Or224()
    {
        Assert.AreEqual(
            new ImageShape(3, 12, 10), ImageColumnType.From(new ImageDataViewType(12, 10))!.Resolve("F", null, null, null).Shape);
        Assert.AreEqual(new ImageShape(1, 32, 10), ImageColumnType.From(new ImageDataViewType(12, 10))!.Resolve("F", 1, 32, null).Shape);
        Assert.AreEqual(new ImageShape(3, 224, 224), ImageColumnType.From(new ImageDataViewType())!.Resolve("F", null, null, null).Shape);
    }

    [TestMethod]
    public void ImagesBeyondTwoGigabytes_AreRefused()
    {
        Fails(new ImageDataViewType(), 30_000, 3_600_000_000);   // decoded pictures have four bytes a pixel
        Fails(new VectorDataViewType(NumberDataViewType.Single, 3, 15_000, 15_000), 15_000, 2_700_000_000);
        Fails(new VectorDataViewType(NumberDataViewType.Single, 675_000_000), 15_000, 2_700_000_000);

        static void Fails(DataViewType type, int side, long bytes)
        {
            var error = Assert.ThrowsExactly<ArgumentException>(() => ImageColumnType.From(type)!.Resolve("Photo", null, side, side));
            StringAssert.Contains(
                error.Message, $"with 3 channels in column 'Photo' takes {bytes:n0} bytes; at most {Array.MaxLength:n0} are possible");
        }
    }

    [TestMethod]
    public void OtherTypes_AreNotImages()
    {
        Assert.IsNull(ImageColumnType.From(TextDataViewType.Instance));
        Assert.IsNull(ImageColumnType.From(NumberDataViewType.Single));
        Assert.IsNull(ImageColumnType.From(new VectorDataViewType(NumberDataViewType.Single)), "a vector of unknown size");
        Assert.IsNull(ImageColumnType.From(new VectorDataViewType(NumberDataViewType.Double, 3, 8, 8)));
    }

    [TestMethod]
    public void TheType_ComesBack()
    {
        foreach (
            DataViewType type in new DataViewType[]
            {
                new ImageDataViewType(),
                new ImageDataViewType(5, 6),
                new VectorDataViewType(NumberDataViewType.Byte, 3, 8, 8),
                new VectorDataViewType(NumberDataViewType.Single, 9),
            }
        )
            Assert.AreEqual(type, ImageColumnType.From(type)!.ToDataViewType());
    }
}
