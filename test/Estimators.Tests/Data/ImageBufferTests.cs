using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Data;

[TestClass]
public sealed class ImageBufferTests
{
    [TestMethod]
    public void Images_LieOneAfterTheOther()
    {
        using var images = new ImageBuffer(Column(2, 1, 2), 3);
        for (var image = 0; image < 3; image++)
            images[image].Fill((byte)(image + 1));
        using var two = images.First(2);
        CollectionAssert.AreEqual(new long[] { 2, 2, 1, 2 }, two.shape);
        CollectionAssert.AreEqual(new byte[] { 1, 1, 1, 1, 2, 2, 2, 2 }, two.data<byte>().ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => images[3].Clear());
        Assert.Throws<ArgumentOutOfRangeException>(() => images[-1].Clear());
    }

    [TestMethod]
    [RequiresMemory(8)]
    public void ABatchBeyondTwoGigabytes_IsFilledToItsEnd()
    {
        const int Last = 799;
        using var images = new ImageBuffer(Column(3, 1000, 1000), Last + 1);   // 2.4 GB, of which hardly any is touched
        images[Last][^1] = 77;
        using var scope = torch.NewDisposeScope();
        Assert.AreEqual(77, images.First(Last + 1)[Last, 2, 999, 999].item<byte>());
        GC.KeepAlive(images);
    }

    private static ImageColumn Column(int channels, int height, int width) =>
        new(
            "F",
            new ImageColumnType(ImageColumnKind.Bytes, [channels, height, width]),
            new ImageShape(channels, height, width),
            false,
            default);
}
