using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.MoE.Weights;
using Microsoft.ML.Transforms;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Persistence;

[TestClass]
public sealed class SaveAndLoadTests
{
    private const int Sample = 40;

    // The transformer's own directory in the zip of Colours.Pipeline.
    private const string Key = "Transform_001/Model.key";
    private const string Description = "Transform_001/classifier.json";
    private const string Weights = "Transform_001/weights.safetensors";
    private const string History = "Transform_001/training.json";

    private static readonly MLContext Ml = new(seed: 1);
    private static TransformerChain<KeyToValueMappingTransformer> model = null!;
    private static byte[] saved = [];

    [ClassInitialize]
    public static void Train(TestContext _)
    {
        var options = Colours.Options();
        (options.Epochs, options.ValidationFraction) = (2, 0.25);
        var data = Ml.Data.LoadFromEnumerable(Colours.Rows(80));
        model = Colours.Pipeline(Ml, options).Fit(data);
        saved = Save(model, data.Schema);
    }

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void TheZip_HoldsReadableWeightsAndJson()
    {
        var weights = ModelZip.Read(saved, ".safetensors");
        var contents = SafeTensors.Read(new MemoryStream(weights), weights.Length);
        var network = model.AsEnumerable().OfType<ImageClassificationTransformer>().Single().Model;
        Assert.HasCount(ModuleWeights.Collect(network).Count, contents.Tensors);
        foreach (var tensor in contents.Tensors.Values)
            tensor.Dispose();

        var json = JsonNode.Parse(ModelZip.Read(saved, Description))!;
        Assert.AreEqual("Features", (string?)json["featureColumn"]);
        Assert.AreEqual("WideNet", (string?)json["model"]!["architecture"]);
        CollectionAssert.AreEqual(Colours.Names.Order().ToArray(), json["labels"]!["values"]!.AsArray().Select(v => (string?)v).ToArray());
    }

    [TestMethod]
    public void ScoringViews_AreKept_AndAverageWhatTheModelSaysOfEach()
    {
        Assert.IsFalse(
            JsonNode.Parse(ModelZip.Read(saved, Description))!.AsObject().ContainsKey("scoringViews"), "as before there were any");

        var rows = Colours.Rows(40);
        var data = Ml.Data.LoadFromEnumerable(rows);
        var options = Colours.Options();
        options.Epochs = 1;
        using var plain = Colours.Pipeline(Ml, options).Fit(data);
        options.ScoringViews = ScoringViews.Mirrored;
        using var mirrored = Colours.Pipeline(Ml, options).Fit(data);   // the same weights: nothing validates
        var zip = Save(mirrored, data.Schema);
        Assert.AreEqual("Mirrored", (string?)JsonNode.Parse(ModelZip.Read(zip, Description))!["scoringViews"]);
        var loaded = Load(zip, out _);
        var transformer = loaded.AsEnumerable().OfType<ImageClassificationTransformer>().Single();
        Assert.AreEqual(ScoringViews.Mirrored, transformer.ScoringViews);

        var found = Scores(loaded, rows);
        var one = Scores(plain, rows);
        Assert.AreEqual(
            2 * plain.AsEnumerable().OfType<ImageClassificationTransformer>().Single().Scorer.ForwardCount, transformer.Scorer.ForwardCount);
        foreach (var row in rows)
            row.Features = [.. row.Features.Chunk(8).SelectMany(line => line.Reverse())];
        var other = Scores(plain, rows);
        for (var row = 0; row < rows.Count; row++)
        {
            // The mean of scores before the softmax is the geometric mean of probabilities.
            var means = one[row].Zip(other[row], (p, q) => Math.Sqrt(p * q)).ToArray();
            for (var c = 0; c < means.Length; c++)
                Assert.AreEqual(means[c] / means.Sum(), found[row][c], 1e-5);
        }

        static float[][] Scores(ITransformer transformer, IEnumerable<ColourRow> rows) =>
            [.. transformer.Transform(Ml.Data.LoadFromEnumerable(rows)).GetColumn<float[]>("Score")];
    }

    [TestMethod]
    public void TheHistoryOfTheTraining_IsKept()
    {
        var trained = model.AsEnumerable().OfType<ImageClassificationTransformer>().Single();
        var loaded = Load(saved, out _).AsEnumerable().OfType<ImageClassificationTransformer>().Single();
        Assert.AreEqual(
            (60, 20, 7, StopReason.EpochsCompleted),
            (loaded.Training!.TrainingImages, loaded.Training.ValidationImages, loaded.Training.Seed, loaded.Training.Training.StopReason));
        Assert.AreSame(loaded.History[trained.Training!.Training.BestEpoch!.Epoch - 1], loaded.Training.Training.BestEpoch);
        Assert.HasCount(2, loaded.History);
        Assert.AreSame(loaded.Training.Training.Epochs, loaded.History);
        for (var i = 0; i < 2; i++)
        {
            var (wanted, found) = (trained.History[i], loaded.History[i]);
            Assert.AreEqual((i + 1, wanted.LearningRate, wanted.Validation), (found.Epoch, found.LearningRate, found.Validation));
            Assert.AreEqual(wanted.Averages with { ExpertLoad = null }, found.Averages with { ExpertLoad = null });
            Assert.AreEqual((4, 60L), (found.Averages.Steps, found.Averages.Samples));
            Assert.HasCount(3, found.Averages.ExpertLoad!, "one routing operation a block");
            for (var block = 0; block < 3; block++)
            {
                CollectionAssert.AreEqual(
                    wanted.Averages.ExpertLoad![block].Counts.ToArray(), found.Averages.ExpertLoad![block].Counts.ToArray());
                Assert.AreEqual(wanted.Averages.ExpertLoad[block].Dropped, found.Averages.ExpertLoad[block].Dropped);
                Assert.AreEqual(60 * 4 * 2, found.Averages.ExpertLoad[block].Total, "images, patches of each, experts of each patch");
            }
        }
    }

    [TestMethod]
    public void AModelWithoutAHistory_StaysWithoutOne()
    {
        var old = Load(File.ReadAllBytes(GoldenZip.File("golden-0x00010001.zip")), out _);
        var again = Load(Save(old, null), out _).AsEnumerable().OfType<ImageClassificationTransformer>().Single();
        Assert.IsNull(again.Training);
        Assert.HasCount(0, again.History);
    }

    [TestMethod]
    [DataRow("\"bestEpoch\":", "\"bestEpoch\":7", "has no epoch 7")]
    [DataRow("\"steps\":8", "\"steps\":\"many\"", "history of the training cannot be read")]
    [DataRow("\"epoch\":1,\"averages\":{", "\"epoch\":1,\"averages\":null,\"averages2\":{", "history of the training cannot be read")]
    [DataRow("\"stopReason\":\"EpochsCompleted\"", "\"stopReason\":\"Tired\"", "history of the training cannot be read")]
    [DataRow("\"expertLoad\":[{\"counts\":", "\"expertLoad\":[null,{\"counts\":", "expert load without counts in epoch 1")]
    public void AHistoryThatMakesNoSense_IsAnError(string from, string to, string message) =>
        StringAssert.Contains(LoadFailure(Forge(History, from, to)), message);

    [TestMethod]
    public void PictureModels_KeepTheirColumnAndResizing()
    {
        var pictures = Colours.Pictures(30);
        var options = Colours.Options();
        (options.Epochs, options.ImageHeight, options.ImageWidth) = (1, 8, 8);
        options.Resizing = Microsoft.ML.Transforms.Image.ImageResizingEstimator.ResizingKind.IsoPad;
        var data = Ml.Data.LoadFromEnumerable(pictures);
        using var trained = Colours.Pipeline(Ml, options).Fit(data);
        var loaded = Load(Save(trained, data.Schema), out _);
        using var transformer = loaded.AsEnumerable().OfType<ImageClassificationTransformer>().Single();
        Assert.AreEqual("Image<12, 10>", transformer.FeatureColumnType.ToString());
        CollectionAssert.AreEqual(
            trained.Transform(data).GetColumn<float[]>("Score").SelectMany(s => s).ToArray(),
            loaded.Transform(data).GetColumn<float[]>("Score").SelectMany(s => s).ToArray());
    }

    [TestMethod]
    public void ABFloat16Model_ScoresTheSameAfterReloading()
    {
        var options = Colours.Options();
        options.Precision = Microsoft.ML.MoE.Runtime.Precision.BFloat16;
        var data = Ml.Data.LoadFromEnumerable(Colours.Rows(80));
        using var trained = Colours.Pipeline(Ml, options).Fit(data);
        Assert.IsGreaterThan(0.9, Ml.MulticlassClassification.Evaluate(trained.Transform(data)).MicroAccuracy);

        var zip = Save(trained, null);
        Assert.AreEqual("BFloat16", (string?)JsonNode.Parse(ModelZip.Read(zip, Description))!["precision"]);
        Assert.AreEqual(FreshProcess.Describe(Ml, trained, Sample), FreshProcess.Describe(Ml, Load(zip, out _), Sample));
    }

    [TestMethod]
    public void ATransformOfSingleRows_SavesAndLoadsToo()
    {
        // As ML.NET's own older formats do it, where the mapper of rows is an entry of its own: all of it internal to ML.NET.
        var transformer = model.AsEnumerable().OfType<ImageClassificationTransformer>().Single();
        var data = Ml.Data.LoadFromEnumerable(Colours.Rows(Sample));
        var transform = ((ITransformer)transformer).GetRowToRowMapper(data.Schema);

        using var stream = new MemoryStream();
        var writer = Internal("Microsoft.ML.RepositoryWriter").Call("CreateNew", null, [stream, Ml, true]);
        Internal("Microsoft.ML.ModelSaveContext").Call("SaveModel", null, [writer, transform, "rows"], typeof(object));
        writer.GetType().Call("Commit", writer, []);

        var reader = Internal("Microsoft.ML.RepositoryReader").Call("Open", null, [stream, Ml, true]);
        object?[] arguments = [Ml, null, reader, "rows", new object[] { data }];
        Internal("Microsoft.ML.ModelLoadContext")
            .Call("LoadModel", null, arguments, typeof(IDataView), Internal("Microsoft.ML.Data.SignatureLoadDataTransform"));
        CollectionAssert.AreEqual(
            transformer.Transform(data).GetColumn<float[]>("Score").SelectMany(s => s).ToArray(),
            ((IDataView)arguments[1]!).GetColumn<float[]>("Score").SelectMany(s => s).ToArray(),
            Comparer<float>.Create((a, b) => Math.Abs(a - b) < 1e-5 ? 0 : 1));

        static Type Internal(string name) =>
            typeof(ITransformer).Assembly.GetType(name) ?? typeof(MLContext).Assembly.GetType(name, throwOnError: true)!;
    }

    [TestMethod]
    public void ANewerFormat_SaysToUpdate()
    {
        // ML.NET's header: the version that wrote the model and the oldest that can read it are the 32-bit numbers at 0x48 and 0x4C.
        var newer = ModelZip.With(saved, Key, bytes =>
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x48), 0x00020001);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x4C), 0x00020001);
            return bytes;
        });
        StringAssert.Contains(
            LoadFailure(newer),
            "newer version of MoE.ML (format 0x00020001; this version reads up to 0x00010002). Update the package MoE.ML");
    }

    [TestMethod]
    public void AFormatThatOlderReadersCanRead_IsRead()
    {
        var compatible = ModelZip.With(saved, Key, bytes =>
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x48), 0x00010003);
            return bytes;
        });
        Assert.AreEqual(FreshProcess.Describe(Ml, model, 5), FreshProcess.Describe(Ml, Load(compatible, out _), 5));
    }

    [TestMethod]
    [DataRow(Description)]
    [DataRow(Weights)]
    [DataRow(History)]
    public void AnAlteredEntry_IsNamed(string entry)
    {
        var random = new Random(1);
        for (var i = 0; i < 10; i++)
        {
            var altered = ModelZip.With(saved, entry, bytes =>
            {
                bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                return bytes;
            });
            var message = LoadFailure(altered);
            StringAssert.Contains(message, "has been altered or is damaged");
            StringAssert.Contains(message, Path.GetFileName(entry));
        }
    }

    [TestMethod]
    [DataRow(Description)]
    [DataRow(Weights)]
    [DataRow(History)]
    [DataRow(Key)]
    public void ATruncatedOrMissingEntry_IsAnError(string entry)
    {
        foreach (var part in new[] { 0, 1, 10, 50, 90, 99 })
            Assert.AreNotEqual("", LoadFailure(ModelZip.With(saved, entry, bytes => bytes[..(bytes.Length * part / 100)])), $"{part} %");
        Assert.AreNotEqual("", LoadFailure(ModelZip.With(saved, entry, _ => null)));
        if (entry != Key)
            StringAssert.Contains(LoadFailure(ModelZip.With(saved, entry, _ => null)), $"has no entry '{Path.GetFileName(entry)}'");
    }

    [TestMethod]
    public void ATruncatedFile_IsAnError()
    {
        for (var length = 0; length < saved.Length; length += Math.Max(1, saved.Length / 37))
            Assert.AreNotEqual("", LoadFailure(saved[..length]), $"{length} of {saved.Length} bytes");
    }

    [TestMethod]
    public void ARandomlyAlteredFile_EitherFailsOrScoresTheSame_AndNeverTakesMuchMemory()
    {
        var expected = FreshProcess.Describe(Ml, model, 5);
        var random = new Random(1);
        var failures = 0;
        PeakMemory.Reset();
        var start = PeakMemory.Bytes;
        for (var i = 0; i < 150; i++)
        {
            var altered = (byte[])saved.Clone();
            altered[random.Next(altered.Length)] ^= (byte)(1 << random.Next(8));
            var before = GC.GetAllocatedBytesForCurrentThread();
            ITransformer? loaded = null;
            try
            {
                loaded = Load(altered, out _);
            }
            catch (Exception exception) when (exception is not (OutOfMemoryException or NullReferenceException or AccessViolationException))
            {
                failures++;
            }
            Assert.IsLessThan(100_000_000, GC.GetAllocatedBytesForCurrentThread() - before, $"change {i}");
            if (loaded is not null)
                Assert.AreEqual(expected, FreshProcess.Describe(Ml, loaded, 5), $"change {i}");
        }
        Assert.IsGreaterThan(75, failures);
        Assert.IsLessThan(200_000_000, PeakMemory.Bytes - start, "native memory, which tensors take, included");
    }

    [TestMethod]
    [DataRow("\"Width\": 16", "\"Width\": 16777216", "parameters, but 'weights.safetensors' has")]
    [DataRow("\"Blocks\": 3", "\"Blocks\": 4", "Tensor '")]
    [DataRow("\"Heads\": 2", "\"Heads\": 3", "Width is 16 and Heads is 3")]
    [DataRow("\"ClassCount\": 4", "\"ClassCount\": 5", "it names 4 classes, but its model has 5")]
    [DataRow("\"architecture\": \"WideNet\"", "\"architecture\": \"WiderNet\"", "configuration is not valid")]
    [DataRow("\"predictionBatchSize\": 64", "\"predictionBatchSize\": 0", "prediction batch size is 0")]
    [DataRow("\"featureKind\": \"Floats\"", "\"featureKind\": \"Sounds\"", "description of the model cannot be read")]
    [DataRow("\"featureKind\": \"Floats\",", "", "description of the model cannot be read")]
    [DataRow("\"mean\": [", "\"mean\": [1, ", "pixel normalisation")]
    public void ADescriptionThatDoesNotFitItsWeights_IsAnError(string from, string to, string message) =>
        StringAssert.Contains(LoadFailure(Forge(Description, from, to)), message);

    [TestMethod]
    public void SavingToAFullDisk_IsAnIOException_AndTheModelStaysUsable()
    {
        Assert.ThrowsExactly<IOException>(() => Ml.Model.Save(model, null, new FullStream(1000)));
        if (File.Exists("/dev/full"))
            StringAssert.Contains(
                Assert.ThrowsExactly<IOException>(() => Ml.Model.Save(model, null, "/dev/full")).Message, "No space left");

        CollectionAssert.AreEqual(ModelZip.Read(saved, Weights), ModelZip.Read(Save(model, null), Weights));
    }

    [TestMethod]
    public void AGpuThatIsMissing_IsNamedWhenLoading()
    {
        var ml = new MLContext { GpuDeviceId = 99, FallbackToCpu = false };
        var error = Assert.Throws<Exception>(() => ml.Model.Load(new MemoryStream(saved), out _));
        StringAssert.Contains(error.GetBaseException().Message, "GpuDeviceId is 99");

        ml.FallbackToCpu = true;
        (ml.Model.Load(new MemoryStream(saved), out _) as IDisposable)?.Dispose();
    }

    [TestMethod]
    [DataRow("golden-0x00010001", 0)]
    [DataRow(GoldenZip.Name, 4)]
    [DataRow(GoldenZip.SparseMlpName, 4)]
    [DataRow(GoldenZip.VisionTransformerName, 4)]
    public void ZipsOfEveryFormatVersion_StillLoad(string name, int epochs)
    {
        var loaded = Load(File.ReadAllBytes(GoldenZip.File(name + ".zip")), out _);
        FreshProcess.AssertScores(File.ReadAllText(GoldenZip.File(name + ".txt")), FreshProcess.Describe(Ml, loaded, GoldenZip.Rows), 1e-4);
        Assert.HasCount(epochs, loaded.AsEnumerable().OfType<ImageClassificationTransformer>().Single().History);
    }

    private static byte[] Save(ITransformer transformer, DataViewSchema? schema)
    {
        using var stream = new MemoryStream();
        Ml.Model.Save(transformer, schema, stream);
        return stream.ToArray();
    }

    private static TransformerChain<ITransformer> Load(byte[] zip, out DataViewSchema? schema) =>
        (TransformerChain<ITransformer>)Ml.Model.Load(new MemoryStream(zip), out schema);

    private static string LoadFailure(byte[] zip)
    {
        try
        {
            (Ml.Model.Load(new MemoryStream(zip), out _) as IDisposable)?.Dispose();
        }
        catch (Exception exception) when (exception is not (OutOfMemoryException or NullReferenceException or AccessViolationException))
        {
            return exception.GetBaseException().Message;
        }
        return "";
    }

    // The saved zip with a text in an entry replaced and the entry's checksum set right.
    private static byte[] Forge(string entry, string from, string to)
    {
        var text = Encoding.UTF8.GetString(ModelZip.Read(saved, entry));
        StringAssert.Contains(text, from);
        var forged = Encoding.UTF8.GetBytes(text.Replace(from, to, StringComparison.Ordinal));
        var zip = ModelZip.With(saved, entry, _ => forged);
        return ModelZip.With(zip, Key, bytes => Replace(bytes, SHA256.HashData(Encoding.UTF8.GetBytes(text)), SHA256.HashData(forged)));
    }

    private static byte[] Replace(byte[] bytes, byte[] from, byte[] to)
    {
        to.CopyTo(bytes.AsSpan(bytes.AsSpan().IndexOf(from)));
        return bytes;
    }

    /// <summary>A disk with little room left.</summary>
    private sealed class FullStream(int room) : Stream
    {
        private readonly MemoryStream written = new();

        public override bool CanRead => false;

        public override bool CanSeek => true;

        public override bool CanWrite => true;

        public override long Length => written.Length;

        public override long Position { get => written.Position; set => written.Position = value; }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => written.Seek(offset, origin);

        public override void SetLength(long value) => written.SetLength(value);

        public override void Write(byte[] buffer, int offset, int count)
        {
            if (Length + count > room)
                throw new IOException("No space left on device");
            written.Write(buffer, offset, count);
        }
    }
}
