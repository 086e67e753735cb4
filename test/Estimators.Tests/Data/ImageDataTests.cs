using System.Collections;
using System.Runtime.InteropServices;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.Runtime;
using Microsoft.ML.Transforms.Image;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Data;

/// <summary>From a data view to batches.</summary>
[TestClass]
public sealed class ImageDataTests
{
    private readonly MLContext ml = new(seed: 1);

    [TestMethod]
    public void Rows_ComeInOrder_WithoutThoseThatLackALabelOrAnImage()
    {
        var rows = Colours.Rows(10);
        rows[2].Label = null;
        rows[5].Features[7] = float.NaN;
        rows[6].Label = null;
        rows[9].Features[0] = float.PositiveInfinity;
        using var reader = Open(rows).Open();

        var firsts = new List<float>();
        while (reader.MoveNext(CancellationToken.None))
            firsts.Add(MemoryMarshal.Cast<byte, float>(reader.Current.Pixels.Span)[0]);

        CollectionAssert.AreEqual(new[] { 0, 1, 3, 4, 7, 8 }.Select(i => rows[i].Features[0]).ToArray(), firsts);
        Assert.AreEqual(2, reader.MissingLabels);
        Assert.AreEqual(2, reader.Unreadable.Count);
        Assert.IsNull(reader.Unreadable.FirstFailure);
    }

    [TestMethod]
    public void InterleavedAndSparseVectors_BecomePlanes()
    {
        var dense = new VBuffer<float>(12, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        CollectionAssert.AreEqual(new float[] { 1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12 }, ReadOne(dense, channelsLast: true));
        CollectionAssert.AreEqual(new float[] { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, ReadOne(dense, channelsLast: false));

        var sparse = new VBuffer<float>(12, 2, [5f, 6f], [1, 6]);
        CollectionAssert.AreEqual(new float[] { 0, 5, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0 }, ReadOne(sparse, channelsLast: false));
        CollectionAssert.AreEqual(new float[] { 0, 0, 6, 0, 5, 0, 0, 0, 0, 0, 0, 0 }, ReadOne(sparse, channelsLast: true));
    }

    [TestMethod]
    public void Normalisation_IsMeasuredPerChannel()
    {
        var column = new ImageColumn("F", new ImageColumnType(ImageColumnKind.Bytes, [2, 1, 2]), new ImageShape(2, 1, 2), false, default);
        var statistics = new PixelStatistics(column);
        statistics.Add([0, 10, 7, 7]);
        statistics.Add([20, 30, 7, 7]);
        var normalization = statistics.ToNormalization();
        CollectionAssert.AreEqual(new[] { 15f, 7f }, normalization.Mean);
        Assert.AreEqual(Math.Sqrt(125), normalization.StandardDeviation[0], 1e-5);
        Assert.AreEqual(1f, normalization.StandardDeviation[1], "a channel that never varies is only shifted");

        using var numbers = torch.tensor(new byte[] { 15, 30, 7, 8 }).view(1, 2, 1, 2);
        using var normal = normalization.Apply(numbers, torch.CPU);
        CollectionAssert.AreEqual(
            new[] { 0f, 15 / MathF.Sqrt(125), 0f, 1f },
            normal.data<float>().ToArray(),
            Comparer<float>.Create((a, b) => Math.Abs(a - b) < 1e-5 ? 0 : 1));
    }

    [TestMethod]
    public void Scan_CachesWhatFits_AndStreamsTheRest_WithTheSameExamples()
    {
        var data = Open(Colours.Rows(50));
        var cached = Scan(data, long.MaxValue, 7);
        var streamed = Scan(data, 1000, 7);   // one image has 768 bytes; memory is taken in larger blocks
        Assert.IsTrue(cached.Cached);
        Assert.IsFalse(streamed.Cached);
        Assert.IsFalse(Scan(data, 0, 7).Cached);

        Assert.AreEqual(50, streamed.Examples.Count);
        CollectionAssert.AreEqual(cached.Statistics.ToNormalization().Mean, streamed.Statistics.ToNormalization().Mean);
        CollectionAssert.AreEqual(Keys(cached.Examples.InOrder(default)), Keys(streamed.Examples.InOrder(default)));
        foreach (var scan in new[] { cached, streamed })
        {
            var first = Keys(scan.Examples.Shuffled(new Random(1), default));
            CollectionAssert.AreEquivalent(Keys(scan.Examples.InOrder(default)), first, "every example once");
            CollectionAssert.AreEqual(first, Keys(scan.Examples.Shuffled(new Random(1), default)), "the same seed, the same order");
            CollectionAssert.AreNotEqual(first, Keys(scan.Examples.Shuffled(new Random(2), default)));
            CollectionAssert.AreNotEqual(Keys(scan.Examples.InOrder(default)), first);
        }
    }

    [TestMethod]
    [DataRow(50, DisplayName = "the pool holds all")]
    [DataRow(7)]
    [DataRow(1)]
    public void ALaterPartOfTheShuffledExamples_IsTheSame_WithoutDecodingTheEarlier(int poolSize)
    {
        var data = Open(Colours.Rows(50));
        foreach (var cacheLimit in new[] { 0, long.MaxValue })
        {
            var examples = Scan(data, cacheLimit, poolSize)
                .Examples.Where(new BitArray(Enumerable.Range(0, 50).Select(i => i % 10 != 4).ToArray()));
            var all = Keys(examples.Shuffled(new Random(1), default));
            foreach (var skip in new[] { 0, 1, 5, 38, 43, 44, 45 })
                CollectionAssert.AreEqual(all[skip..], Keys(examples.Shuffled(new Random(1), skip, default)), $"without the first {skip}");
        }

        var decoded = new List<int>();
        using var rows = data.Open();
        while (rows.MoveNext(row => row % 2 == 0, default))
        {
            if (rows.Current.Pixels.Length > 0)
                decoded.Add(rows.RowNumber);
        }
        CollectionAssert.AreEqual(Enumerable.Range(0, 25).Select(i => 2 * i).ToArray(), decoded);
    }

    [TestMethod]
    public void Split_SetsAPartAside_TheSameWherever()
    {
        var data = Open(Colours.Rows(50));
        var (cachedTraining, cachedValidation, _, _) = Scan(data, long.MaxValue, 7).Split(0.2, new Random(3));
        var (streamedTraining, streamedValidation, _, _) = Scan(data, 0, 7).Split(0.2, new Random(3));

        Assert.AreEqual(40, cachedTraining.Count);
        Assert.AreEqual(10, cachedValidation!.Count);
        CollectionAssert.AreEqual(Keys(cachedTraining.InOrder(default)), Keys(streamedTraining.InOrder(default)));
        CollectionAssert.AreEqual(Keys(cachedValidation.InOrder(default)), Keys(streamedValidation!.InOrder(default)));
        Assert.AreEqual(
            50, Keys(cachedTraining.InOrder(default)).Union(Keys(cachedValidation.InOrder(default))).Count(), "nothing is lost");

        Assert.IsNull(Scan(data, 0, 7).Split(0, new Random(3)).Validation);
        Assert.AreEqual(1, Scan(data, 0, 7).Split(0.001, new Random(3)).Validation!.Count, "a small part of few rows is one row");
    }

    [TestMethod]
    public void ARowThatFailsInALaterPassOnly_MovesNoOtherIntoTheOtherPart_AndIsReported()
    {
        int[] unlabelled = [2];
        var data = Open(Enumerable.Range(0, 1).SelectMany(_ =>   // drawn anew for each pass
        {
            var rows = Colours.Rows(50);
            foreach (var row in unlabelled)
                rows[row].Label = null;
            return rows;
        }));
        var log = new LogMessages(ml);
        var environment = ((IHostEnvironment)ml).Register("test");
        using var channel = environment.Start("scan");
        var (training, validation, _, _) = ImageScan
            .Run(environment, channel, data, "training", new() { CacheLimit = 0, PoolSize = 7, Splits = true }, default)
            .Split(0.2, new Random(3));
        Assert.AreEqual((39, 10), (training.Count, validation!.Count));
        log.TakeWarnings();

        var order = training.InOrder(default).Select(example => example.Row).ToArray();
        unlabelled = [2, order.First(row => row > 2)];
        var trained = Keys(training.Shuffled(new Random(1), default));
        Assert.HasCount(38, trained, "all but the one that is lost");
        StringAssert.Contains(
            log.TakeWarnings().Single(),
            "1 of 39 rows could be used in the first pass over the data and cannot be in a later one, which goes without them: of all "
                + "rows now 2 have no label, 0 have no readable image");

        // Where each comes as often as is said, what is lost leaves the others their pixels and their number.
        int[] times = [.. Enumerable.Range(0, 39).Select(i => i % 2 * 2)];
        var copies = training.Shuffled(new Random(1), 0, times, default)
            .Select(example => (example.Row, example.Pixels.Length))
            .ToArray();
        CollectionAssert.AreEquivalent(
            order.Zip(times).Where(pair => !unlabelled.Contains(pair.First)).SelectMany(pair => Enumerable.Repeat(pair.First, pair.Second)).ToArray(),
            copies.Select(copy => copy.Row).ToArray());
        Assert.IsTrue(copies.All(copy => copy.Length > 0), "pixels");
        log.TakeWarnings();

        unlabelled = [];
        var validated = Keys(validation.InOrder(default));
        Assert.HasCount(10, validated);
        Assert.IsEmpty(log.TakeWarnings());
        Assert.IsEmpty(trained.Intersect(validated).ToArray(), "no image that validates is trained on");
    }

    [TestMethod]
    [DataRow(0L, DisplayName = "streamed")]
    [DataRow(long.MaxValue, DisplayName = "cached")]
    public void PixelsAreMeasuredOverTheImagesThatAreTrainedOnAlone(long cacheLimit)
    {
        var data = Open(Colours.Rows(50));
        var split = Scan(data, cacheLimit, 7).Split(0.2, new Random(3));
        var expected = new PixelStatistics(data.Images);
        foreach (var example in split.Training.InOrder(default))
            expected.Add(example.Pixels.Span);
        CollectionAssert.AreEqual(expected.ToNormalization().Mean, split.Normalization.Mean);
        CollectionAssert.AreEqual(expected.ToNormalization().StandardDeviation, split.Normalization.StandardDeviation);
        Assert.AreEqual(expected.ToRange(), split.Range);
        CollectionAssert.AreNotEqual(Scan(data, cacheLimit, 7).Statistics.ToNormalization().Mean, split.Normalization.Mean);
    }

    [TestMethod]
    public void AStreamedPartOfAPart_IsThatOfACachedOne()
    {
        var data = Open(Colours.Rows(20));
        var half = new BitArray(Enumerable.Range(0, 20).Select(i => i % 2 == 1).ToArray());
        var third = new BitArray(Enumerable.Range(0, 10).Select(i => i % 3 == 0).ToArray());
        var expected = Keys(Scan(data, long.MaxValue, 7).Examples.Where(half).Where(third).InOrder(default));
        Assert.HasCount(4, expected);
        CollectionAssert.AreEqual(expected, Keys(Scan(data, 0, 7).Examples.Where(half).Where(third).InOrder(default)));
    }

    [TestMethod]
    public void Batches_HoldEveryExampleOnce_AndTheLastIsSmaller()
    {
        var data = Open(Colours.Rows(10));
        var scan = Scan(data, long.MaxValue, 7);
        var source = new ImageBatchSource(
            scan.Examples, new ImageBatches(data.Images, scan.Statistics.ToNormalization(), torch.CPU, batchSize: 4), seed: 5);
        Assert.AreEqual(3, source.BatchesPerEpoch);

        var counts = new List<int>();
        var labels = new List<long>();
        foreach (var batch in source.ReadEpoch(0, default))
        {
            using (batch)
            {
                counts.Add(batch.Count);
                labels.AddRange(batch.Labels_N.data<long>().ToArray());
                CollectionAssert.AreEqual(new long[] { batch.Count, 3, 8, 8 }, batch.Images_NCHW.shape);
            }
        }
        CollectionAssert.AreEqual(new[] { 4, 4, 2 }, counts);
        CollectionAssert.AreEquivalent(scan.Examples.InOrder(default).Select(e => (long)e.Label).ToArray(), labels);
    }

    [TestMethod]
    public void Batches_GoOnInTheMiddleOfAnEpoch()
    {
        var data = Open(Colours.Rows(10));
        var scan = Scan(data, long.MaxValue, 7);
        var source = new ImageBatchSource(
            scan.Examples, new ImageBatches(data.Images, scan.Statistics.ToNormalization(), torch.CPU, batchSize: 4), seed: 5);
        var all = Pixels(source.ReadEpoch(1, default));
        Assert.HasCount(3, all);
        for (var skip = 0; skip <= 4; skip++)
            CollectionAssert.AreEqual(all.Skip(skip).ToArray(), Pixels(source.ReadEpoch(1, skip, default)));

        static string[] Pixels(IEnumerable<ImageBatch> batches) => [.. batches.Select(batch =>
        {
            using (batch)
                return Convert.ToHexString(batch.Images_NCHW.bytes);
        })];
    }

    [TestMethod]
    public void Flips_AlternateByEpoch_AndAreTheRows_WhateverTheOrderAndTheStart()
    {
        var rows = Colours.Rows(40);
        rows[2].Label = null;   // which moves no other's flip
        var data = Open(rows);
        var flips = new AlternatingFlips(seed: 5);
        var first = Enumerable.Range(0, 40).Where(row => flips.IsMirrored(row, 0)).ToArray();
        Assert.IsTrue(first.Length is > 10 and < 30, $"{first.Length} of 40");
        CollectionAssert.AreNotEqual(first, Enumerable.Range(0, 40).Where(row => new AlternatingFlips(6).IsMirrored(row, 0)).ToArray());

        foreach (var cacheLimit in new[] { 0, long.MaxValue })
        {
            var scan = Scan(data, cacheLimit, poolSize: 7);
            var source = new ImageBatchSource(
                scan.Examples, new ImageBatches(data.Images, scan.Statistics.ToNormalization(), torch.CPU, batchSize: 4), 5, flips: flips);
            for (var epoch = 0; epoch < 3; epoch++)
            {
                var wanted = scan.Examples.Shuffled(SeededRandom.Create(5, epoch), default)
                    .Select(example => epoch % 2 == 0 ? first.Contains(example.Row) : !first.Contains(example.Row))
                    .ToArray();
                Assert.HasCount(39, wanted);
                CollectionAssert.AreEqual(wanted, Mirrored(source.ReadEpoch(epoch, default)));
                CollectionAssert.AreEqual(wanted[12..], Mirrored(source.ReadEpoch(epoch, skip: 3, default)), "continued");
            }
        }

        static bool[] Mirrored(IEnumerable<ImageBatch> batches) => [.. batches.SelectMany(batch =>
        {
            using (batch)
                return batch.Mirrored_N!.data<bool>().ToArray();
        })];
    }

    [TestMethod]
    [DataRow(0L, 100)]
    [DataRow(0L, 7)]
    [DataRow(long.MaxValue, 7)]
    public void BalancedSampling_GivesEveryClassItsShare_AndGoesOnInTheMiddle(long cacheLimit, int poolSize)
    {
        var rows = Colours.Rows(400).Where(row => row.Label != "red" || row.Id % 10 == 0).Take(103).ToList();
        rows[2].Label = null;
        var examples = Scan(Open(rows), cacheLimit, poolSize).Examples;
        var members = new BitArray(Enumerable.Range(0, 102).Select(i => i % 5 != 4).ToArray());
        examples = examples.Where(members);
        var labels = examples.InOrder(default).Select(example => example.Label).ToArray();
        Assert.IsLessThan(10, labels.Count(label => label == 2));   // red

        var sampling = new BalancedSampling(labels, seed: 3);
        var times = sampling.Times(epoch: 1);
        Assert.AreEqual(labels.Length, times.Sum());
        CollectionAssert.AreEqual(times, new BalancedSampling(labels, seed: 3).Times(1));
        CollectionAssert.AreNotEqual(times, sampling.Times(2));
        foreach (var ofClass in labels.Zip(times).GroupBy(pair => pair.First))
        {
            Assert.AreEqual(labels.Length / 4.0, ofClass.Sum(pair => pair.Second), 1);
            Assert.IsLessThanOrEqualTo(1, ofClass.Max(pair => pair.Second) - ofClass.Min(pair => pair.Second), "each about as often");
        }

        var all = examples.Shuffled(new Random(1), 0, times, default).Select(example => (example.Row, Key(example))).ToArray();
        var inOrder = examples.InOrder(default).Select(example => (example.Row, Key(example))).ToArray();
        CollectionAssert.AreEquivalent(inOrder.SelectMany((example, i) => Enumerable.Repeat(example, times[i])).ToArray(), all);
        foreach (var skip in new[] { 1, 30, 74, all.Length - 1, all.Length })
        {
            CollectionAssert.AreEqual(
                all[skip..],
                examples.Shuffled(new Random(1), skip, times, default).Select(example => (example.Row, Key(example))).ToArray(),
                $"without the first {skip}");
        }

        static string Key(ImageExample example) => Convert.ToHexString(example.Pixels.Span[..64]);
    }

    [TestMethod]
    public void Split_KeepsEveryClassesShare_AndOneOfEachToTrainOn()
    {
        int[] counts = [41, 20, 2, 1];
        var rows = counts.SelectMany((count, label) => Colours.Rows(400).Where(row => row.Label == "red").Take(count)
            .Select(row => new ColourRow { Features = [.. row.Features], Label = Colours.Names.Order().ElementAt(label), Id = row.Id }));
        foreach (var (fraction, wanted) in new (double, int[])[]
        {
            (0.25, [10, 5, 1, 0]),   // of 64: shares 10.25, 5, 0.5 and 0.25
            (0.001, [1, 0, 0, 0]),
            (0.95, [40, 19, 1, 0]),   // of 64: 61 are asked for, and one of each class stays
        })
        {
            var warnings = new List<string>();
            var split = Scan(Open(rows), long.MaxValue, 7).Split(fraction, new Random(3), warnings.Add, label => $"<{label}>");
            var held = split.Validation!.InOrder(default).CountBy(example => example.Label).ToDictionary();
            CollectionAssert.AreEqual(wanted, Enumerable.Range(0, 4).Select(label => held.GetValueOrDefault(label)).ToArray());
            CollectionAssert.AreEqual(split.Training.InOrder(default).Select(example => example.Label).ToArray(), split.Labels.ToArray());
            Assert.AreEqual(64, split.Labels.Count + split.Validation.Count);
            StringAssert.Contains(warnings.Single(), "<3> (1 row)");
        }
    }

    [TestMethod]
    public void Weights_AreReadWithTheirRows_AndTheMeanOfThoseOfTheLossIs1()
    {
        var rows = Colours.Rows(40).Select(row => WeightedRow.Of(row, row.Id)).ToArray();
        rows[3].Label = null;
        foreach (var cacheLimit in new[] { 0, long.MaxValue })
        {
            var data = Open(Colours.WithKeys(ml, rows)) with { Weights = new WeightColumn("Weight") };
            var split = Scan(data, cacheLimit, poolSize: 7).Split(0.25, new Random(1));
            Assert.IsTrue(split.Training.Shuffled(new Random(1), default).All(example => example.Weight == example.Row));
            CollectionAssert.AreEqual(
                split.Training.InOrder(default).Select(example => example.Weight).ToArray(), split.Weights!.ToArray());

            var options = Colours.Options();
            options.ClassWeights = new Dictionary<string, double> { ["2"] = 5 };
            var weights = LossWeights.Create(options, data.Labels!, split)!;
            var found = split.Training.InOrder(default).ToDictionary(example => example.Row, weights.Of);
            Assert.AreEqual(1, found.Values.Average(), 1e-5);
            foreach (var (row, weight) in found)
            {
                var other = split.Training.InOrder(default).First(example => example.Row == row);
                Assert.AreEqual(row * (other.Label == 1 ? 5 : 1) * found[7] / (7 * (LabelOf(7) == 1 ? 5 : 1)), weight, 1e-4);
            }

            var source = new ImageBatchSource(
                split.Training, new ImageBatches(data.Images, split.Normalization, torch.CPU, batchSize: 4), seed: 5)
            {
                WeightOf = weights.Of,
            };
            var order = split.Training.Shuffled(SeededRandom.Create(5, 0), default).Select(example => found[example.Row]).ToArray();
            CollectionAssert.AreEqual(order, source.ReadEpoch(0, default).SelectMany(batch =>
            {
                using (batch)
                    return batch.Weights_N!.data<float>().ToArray();
            }).ToArray());

            int LabelOf(int row) => split.Training.InOrder(default).First(example => example.Row == row).Label;
        }
        var plain = Scan(Open(Colours.Rows(9)), 0, 7).Split(0, new Random(1));
        Assert.IsNull(LossWeights.Create(Colours.Options(), new LabelColumn("Label", 4, null), plain));
    }

    [TestMethod]
    public void AFingerprint_ChangesWithAnyPixelLabelOrOrder()
    {
        var seen = new List<string>();
        foreach (var change in new Action<List<ColourRow>>[]
        {
            _ => { },
            rows => rows[3].Features[5]++,
            rows => rows[3].Label = rows[3].Label == "red" ? "blue" : "red",
            rows => (rows[3], rows[4]) = (rows[4], rows[3]),
            rows => rows.RemoveAt(9),
        })
        {
            var rows = Colours.Rows(10);
            change(rows);
            var environment = ((IHostEnvironment)ml).Register("test");
            using var channel = environment.Start("scan");
            var fingerprint = ImageScan
                .Run(environment, channel, Open(rows), "training", new() { CacheLimit = 0, PoolSize = 7, Fingerprints = true }, default)
                .Fingerprint;
            CollectionAssert.AreEqual(
                new[] { "Number of training images", "Hash of the training images", "Hash of the training labels" },
                fingerprint.Keys.ToArray());
            seen.Add(string.Join(' ', fingerprint.Values));
        }
        Assert.AreEqual(seen.Count, seen.Distinct().Count());
        Assert.IsEmpty(Scan(Open(Colours.Rows(10)), 0, 7).Fingerprint);
    }

    [TestMethod]
    public void SeededRandom_GivesUnrelatedSequences()
    {
        var draws = (
            from seed in Enumerable.Range(0, 20)
            from stream in Enumerable.Range(-1, 20)
            select SeededRandom.Create(seed, stream).Next()
        ).ToArray();
        Assert.AreEqual(draws.Length, draws.Distinct().Count());
        Assert.AreEqual(SeededRandom.Create(3, 4).Next(), SeededRandom.Create(3, 4).Next());
    }

    private ImageData Open(IEnumerable<ColourRow> rows) => Open(Colours.WithKeys(ml, rows));

    private static ImageData Open(IDataView view)
    {
        var type = ImageColumnType.From(view.Schema["Features"].Type)!;
        return new(view, new ImageColumn("Features", type, new ImageShape(3, 8, 8), false, default), new LabelColumn("Label", 4, null));
    }

    private ImageScan Scan(ImageData data, long cacheLimit, int poolSize)
    {
        var environment = ((IHostEnvironment)ml).Register("test");
        using var channel = environment.Start("scan");
        var settings = new ImageScanSettings { CacheLimit = cacheLimit, PoolSize = poolSize, Splits = true };
        return ImageScan.Run(environment, channel, data, "training", settings, default);
    }

    private static float[] ReadOne(VBuffer<float> value, bool channelsLast)
    {
        var column = new ImageColumn(
            "F",
            new ImageColumnType(ImageColumnKind.Floats, [12]),
            new ImageShape(3, 2, 2),
            channelsLast,
            default(ImageResizingEstimator.ResizingKind));
        var bytes = new byte[column.ByteCount];
        Assert.IsTrue(new VectorReader<float>((ref VBuffer<float> destination) => value.CopyTo(ref destination), column).TryRead(bytes));
        return MemoryMarshal.Cast<byte, float>(bytes).ToArray();
    }

    // The first pixels tell the examples apart.
    private static float[] Keys(IEnumerable<ImageExample> examples) => [.. examples.Select(e =>
    {
        var pixels = MemoryMarshal.Cast<byte, float>(e.Pixels.Span);
        return (pixels[0] * 65536) + (pixels[1] * 256) + pixels[2];
    })];
}
