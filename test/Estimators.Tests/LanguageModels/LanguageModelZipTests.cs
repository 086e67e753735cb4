using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Estimators.Tests.Persistence;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.LanguageModels;

[TestClass]
public sealed class LanguageModelZipTests
{
    private static readonly MLContext Ml = new(seed: 1);
    private static LanguageModelTransformer model = null!;
    private static byte[] saved = [];

    [ClassInitialize]
    public static void Train(TestContext _)
    {
        var options = Rhymes.Options();
        (options.Epochs, options.Tokenizer, options.ValidationFraction) = (3, TokenizerOptions.BytePairs(280), 0.2);
        model = Ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(Ml));
        saved = Save(model);
    }

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void AReloadedModel_SaysTheSame_AndSavesTheSame()
    {
        using var loaded = Load(saved);
        Assert.AreEqual(FreshProcess.DescribeTexts(Ml, model), FreshProcess.DescribeTexts(Ml, loaded));
        Assert.AreEqual(model.Model.Config.ToJson(), loaded.Model.Config.ToJson());
        Assert.AreEqual(
            ("Text", "Embedding", "Continuation"), (loaded.TextColumnName, loaded.EmbeddingColumnName, loaded.ContinuationColumnName));
        var again = Save(loaded);
        foreach (var entry in new[] { "languagemodel.json", "vocab.json", "merges.txt", "weights.safetensors", "training.json" })
            CollectionAssert.AreEqual(ModelZip.Read(saved, entry), ModelZip.Read(again, entry), entry);
    }

    [TestMethod]
    public async Task AFreshProcess_LoadsAndContinues_WithoutRegistration()
    {
        var zip = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(zip, saved);
            Assert.AreEqual(FreshProcess.DescribeTexts(Ml, model).Trim(), await FreshProcess.PredictTexts(zip));
        }
        finally
        {
            File.Delete(zip);
        }
    }

    [TestMethod]
    [DataRow("languagemodel.json")]
    [DataRow("vocab.json")]
    [DataRow("merges.txt")]
    [DataRow("weights.safetensors")]
    [DataRow("training.json")]
    public void AnAlteredEntry_IsRefused(string entry)
    {
        var altered = ModelZip.With(saved, entry, bytes =>
        {
            bytes[^20] ^= 1;
            return bytes;
        });
        StringAssert.Contains(Error(altered), $"'{entry}' has been altered");
        StringAssert.Contains(Error(ModelZip.With(saved, entry, _ => null)), $"no entry '{entry}'");
    }

    [TestMethod]
    public void ANewerFormat_IsRefused()
    {
        // ML.NET's header: the version that wrote the model and the oldest that can read it are the 32-bit numbers at 0x48 and 0x4C.
        var newer = ModelZip.With(saved, "Model.key", bytes =>
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x48), 0x00020001);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x4C), 0x00020001);
            return bytes;
        });
        StringAssert.Contains(Error(newer), "newer version of MoE.ML");
    }

    [TestMethod]
    public void TheZip_HoldsReadableFiles()
    {
        Assert.Contains("\"kind\": \"BytePairs\"", Encoding.UTF8.GetString(ModelZip.Read(saved, "languagemodel.json")));
        Assert.Contains("\"layer\": \"peer\"", Encoding.UTF8.GetString(ModelZip.Read(saved, "languagemodel.json")));
        Assert.AreEqual(
            ((BytePairTokenizer)model.Tokenizer).Merges[0], Encoding.UTF8.GetString(ModelZip.Read(saved, "merges.txt")).Split('\n')[0]);
    }

    [TestMethod]
    [DataRow("golden-language-model-0x00010001", 0)]
    [DataRow(GoldenZip.LanguageModelName, 6)]
    public void ZipsOfEveryFormatVersion_StillLoad(string name, int epochs)
    {
        using var loaded = Load(File.ReadAllBytes(GoldenZip.File(name + ".zip")));
        var (wanted, found) = (
            File.ReadAllText(GoldenZip.File(name + ".txt")).TrimEnd('\n').Split('\n'), FreshProcess.DescribeTexts(Ml, loaded).Split('\n'));
        Assert.HasCount(Rhymes.Texts.Length, found);
        foreach (var (w, f) in wanted.Zip(found, (w, f) => (w.Split(' ', 3), f.Split(' ', 3))))
        {
            Assert.AreEqual((w[0], w[2]), (f[0], f[2]), "tokens and continuation");
            Assert.AreEqual(
                double.Parse(w[1], CultureInfo.InvariantCulture), double.Parse(f[1], CultureInfo.InvariantCulture), 2e-3, "log-likelihood");
        }
        Assert.HasCount(epochs, loaded.History);
        using var again = Load(Save(loaded));
        Assert.HasCount(epochs, again.History);
        Assert.AreEqual(epochs == 0, again.Training is null, "a model without a history stays without one");
    }

    [TestMethod]
    public void TheHistoryOfTheTraining_IsKept()
    {
        using var loaded = Load(saved);
        var (trained, found) = (model.Training!, loaded.Training!);
        Assert.AreEqual(
            (trained.Documents, trained.TrainingTokens, trained.ValidationTokens, trained.EmptyTexts, trained.Seed),
            (found.Documents, found.TrainingTokens, found.ValidationTokens, found.EmptyTexts, found.Seed));
        Assert.AreEqual(
            (trained.Training.Steps, StopReason.EpochsCompleted, trained.Training.BestEpoch!.Epoch),
            (found.Training.Steps, found.Training.StopReason, found.Training.BestEpoch!.Epoch));
        Assert.AreSame(found.Training.Epochs, loaded.History);
        Assert.HasCount(3, loaded.History);
        foreach (var (wanted, epoch) in model.History.Zip(loaded.History))
        {
            Assert.AreEqual(wanted with { Averages = epoch.Averages }, epoch);
            Assert.AreEqual(wanted.Averages with { ExpertLoad = null }, epoch.Averages with { ExpertLoad = null });
            CollectionAssert.AreEqual(
                wanted.Averages.ExpertLoad!.Single().Counts.ToArray(),
                epoch.Averages.ExpertLoad!.Single().Counts.ToArray(),
                "PEER of 256 experts");
        }
    }

    private static string Error(byte[] zip) => Assert.Throws<Exception>(() => Load(zip)).GetBaseException().Message;

    private static LanguageModelTransformer Load(byte[] zip) => (LanguageModelTransformer)Ml.Model.Load(new MemoryStream(zip), out _);

    private static byte[] Save(ITransformer transformer)
    {
        using var stream = new MemoryStream();
        Ml.Model.Save(transformer, Rhymes.Data(Ml).Schema, stream);
        return stream.ToArray();
    }
}
