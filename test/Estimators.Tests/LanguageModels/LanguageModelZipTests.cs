using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Estimators.Tests.Persistence;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
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
        (options.Epochs, options.Tokenizer) = (3, TokenizerOptions.BytePairs(280));
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
        Assert.IsNull(loaded.Training);
        Assert.AreEqual(("Text", "Embedding", "Continuation"), (loaded.TextColumnName, loaded.EmbeddingColumnName, loaded.ContinuationColumnName));
        var again = Save(loaded);
        foreach (var entry in new[] { "languagemodel.json", "vocab.json", "merges.txt", "weights.safetensors" })
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
        Assert.AreEqual(((BytePairTokenizer)model.Tokenizer).Merges[0], Encoding.UTF8.GetString(ModelZip.Read(saved, "merges.txt")).Split('\n')[0]);
    }

    [TestMethod]
    [DataRow("golden-language-model-0x00010001")]
    public void ZipsOfEveryFormatVersion_StillLoad(string name)
    {
        using var loaded = Load(File.ReadAllBytes(GoldenZip.File(name + ".zip")));
        var (wanted, found) = (File.ReadAllText(GoldenZip.File(name + ".txt")).TrimEnd('\n').Split('\n'), FreshProcess.DescribeTexts(Ml, loaded).Split('\n'));
        Assert.HasCount(Rhymes.Texts.Length, found);
        foreach (var (w, f) in wanted.Zip(found, (w, f) => (w.Split(' ', 3), f.Split(' ', 3))))
        {
            Assert.AreEqual((w[0], w[2]), (f[0], f[2]), "tokens and continuation");
            Assert.AreEqual(double.Parse(w[1], CultureInfo.InvariantCulture), double.Parse(f[1], CultureInfo.InvariantCulture), 2e-3, "log-likelihood");
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
