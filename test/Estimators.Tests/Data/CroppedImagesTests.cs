using System.Collections;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

/// <summary>Random crops of pictures are cut out at the pictures' own size.</summary>
[TestClass]
public sealed class CroppedImagesTests
{
    private const int Side = 8;   // of the model's images

    private static readonly RandomResizedCrop Crop = new() { MinScale = 0.005, MaxScale = 0.01 };

    private readonly MLContext ml = new(seed: 1);

    [TestMethod]
    public void ABox_LiesInThePicture_AndIsAsLargeAsAsked()
    {
        var random = new Random(1);
        for (var i = 0; i < 200; i++)
        {
            var box = new RandomResizedCrop { MinScale = 0.25, MaxScale = 0.5 }.Draw(100, 150, random);
            Assert.IsTrue(box is { Top: >= 0, Left: >= 0, Bottom: <= 100, Right: <= 150 }, $"{box}");
            Assert.AreEqual(0.375, box.Area / 15_000.0, 0.125 + 0.01);   // sides are whole pixels
        }
        Assert.AreEqual(new ImageBox(0, 1, 0, 1), new RandomResizedCrop().Draw(1, 1, random));
    }

    [TestMethod]
    [DataRow(long.MaxValue, DisplayName = "cached")]
    [DataRow(0L, DisplayName = "streamed")]
    public void WhatTheSmallCopyHasLost_IsInTheCrops(long cacheLimit)
    {
        var scan = Scan(Open(Stripes(6, 96)), cacheLimit, crop: Crop);
        foreach (var example in scan.Examples.InOrder(default))
            Assert.IsLessThan(40, Contrast(example), "black and white stripes are grey in the small copy");
        foreach (var example in scan.Cropped!.Shuffled(new Random(1), default))
            Assert.IsGreaterThan(150, Contrast(example));
        Assert.AreEqual(cacheLimit > 0, scan.Cached);
    }

    [TestMethod]
    public void CachedAndStreamed_CutTheSame_AlsoFromTheMiddle_AndAnewInEachPass()
    {
        var data = Open(Stripes(12, 64));
        var members = new BitArray(Enumerable.Range(0, 12).Select(i => i % 4 != 1).ToArray());
        var cached = Scan(data, long.MaxValue, crop: Crop).Cropped!.Where(members);
        var streamed = Scan(data, 0, crop: Crop).Cropped!.Where(members);
        Assert.AreEqual(9, cached.Count);

        var all = Keys(cached.Shuffled(new Random(1), default));
        Assert.HasCount(9, all.Distinct());
        CollectionAssert.AreEqual(all, Keys(streamed.Shuffled(new Random(1), default)), "the pool holds all of them");
        CollectionAssert.AreEqual(all[4..], Keys(cached.Shuffled(new Random(1), 4, default)));
        CollectionAssert.AreEqual(all[4..], Keys(streamed.Shuffled(new Random(1), 4, default)));
        Assert.IsEmpty(all.Intersect(Keys(cached.Shuffled(new Random(2), default))));
        CollectionAssert.AreEqual(Keys(cached.InOrder(default)), Keys(streamed.InOrder(default)));
    }

    [TestMethod]
    public void WhereNoPictureIsShrunken_ThereIsNothingToGain()
    {
        Assert.IsNull(Scan(Open(Stripes(4, Side)), 0, crop: Crop).Cropped);
        Assert.IsNull(Scan(Open(Stripes(4, 64)), 0, crop: null).Cropped);
    }

    [TestMethod]
    public void PicturesThatDoNotFitIntoTheLimit_AreReadAnew()
    {
        // Twelve take 0.2 MB at their own size, and a block of 16 MB as small copies.
        Assert.IsTrue(Scan(Open(Stripes(12, 64)), 17 << 20, crop: Crop).Cached);
        var scan = Scan(Open(Stripes(12, 64)), (16 << 20) + 100_000, crop: Crop);
        Assert.IsFalse(scan.Cached);
        Assert.AreEqual((16 << 20) / (3 * Side * Side) * 3 * Side * Side, scan.CachedBytes, "the small copies, for what is not cropped");
    }

    [TestMethod]
    public void ATraining_IsTheSame_CachedAndStreamed()
    {
        float[] Train(bool cached)
        {
            var options = Colours.Options();
            (options.ImageHeight, options.ImageWidth, options.CacheInMemory) = (Side, Side, cached);
            (options.RandomResizedCropScale, options.ValidationFraction, options.ShufflePoolSize) = (0.3, 0.25, 30);
            using var model = Colours.Trainer(ml, options).Fit(Colours.WithKeys(ml, Colours.Pictures(40)));
            Assert.AreEqual(cached, model.Training!.CachedInMemory);
            return [.. model.Model.parameters().SelectMany(weights => weights.data<float>().ToArray())];
        }

        CollectionAssert.AreEqual(Train(cached: true), Train(cached: false));
    }

    [TestMethod]
    public void RowsThatAreNotWanted_AreNotDecoded()
    {
        var decoded = 0;
        var pictures = Stripes(20, 16);
        void Decode(Numbered row, Decoded output)
        {
            decoded++;
            output.Features = pictures[row.Id].Features;
        }

        var rows = ml.Data.LoadFromEnumerable(pictures.Select(picture => new Numbered { Id = picture.Id, Label = picture.Label! }));
        var view = ml.Transforms.CustomMapping<Numbered, Decoded>(Decode, contractName: null)
            .Append(ml.Transforms.Conversion.MapValueToKey("Label"))
            .Fit(rows)
            .Transform(rows);
        var (training, validation, _, _) = Scan(Open(view), 0, crop: null).Split(0.2, new Random(3));
        decoded = 0;
        Assert.HasCount(4, validation!.InOrder(default));
        Assert.AreEqual(4, decoded, "the part that is set apart, and each once");
        decoded = 0;
        Assert.HasCount(16, training.Shuffled(new Random(1), default));
        Assert.AreEqual(16, decoded);
    }

    // Stripes of two pixels, each picture a little brighter.
    private static List<PictureRow> Stripes(int count, int side) =>
    [
        .. Enumerable.Range(0, count).Select(id => new PictureRow
        {
            Id = id,
            Label = Colours.Names[id % 4],
            Features = Colours.ToPicture(
                [.. Enumerable.Range(0, 3 * side * side).Select(i => (byte)(i % side / 2 % 2 == 0 ? id : 240 + id))], side, side),
        }),
    ];

    private ImageData Open(List<PictureRow> rows) => Open(Colours.WithKeys(ml, rows));

    private static ImageData Open(IDataView view) => new(
        view,
        new ImageColumn("Features", new ImageColumnType(ImageColumnKind.Image, []), new ImageShape(3, Side, Side), false, default),
        new LabelColumn("Label", 4, null));

    private ImageScan Scan(ImageData data, long cacheLimit, RandomResizedCrop? crop)
    {
        var environment = ((IHostEnvironment)ml).Register("test");
        using var channel = environment.Start("scan");
        return ImageScan.Run(
            environment,
            channel,
            data,
            "training",
            new() { CacheLimit = cacheLimit, PoolSize = 30, Splits = true, Crop = crop },
            default);
    }

    private static int Contrast(ImageExample example)
    {
        var pixels = example.Pixels.ToArray();
        return pixels.Max() - pixels.Min();
    }

    private static string[] Keys(IEnumerable<ImageExample> examples) =>
        [.. examples.Select(example => $"{example.Label} {Convert.ToHexString(example.Pixels.Span)}")];

    private sealed class Numbered
    {
        public int Id { get; set; }

        public string Label { get; set; } = "";
    }

    private sealed class Decoded
    {
        [Microsoft.ML.Transforms.Image.ImageType(16, 16)]
        public MLImage? Features { get; set; }
    }
}
