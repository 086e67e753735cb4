using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Transforms;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Persistence;

/// <summary>
/// A model of every architecture comes back from its zip as it was. What else there is to zips is in <see cref="SaveAndLoadTests"/>.
/// </summary>
public abstract class RoundTripTests
{
    private const int Sample = 40;

    private static readonly MLContext Ml = new(seed: 1);
    private static TransformerChain<KeyToValueMappingTransformer> model = null!;
    private static byte[] saved = [];
    private static Type? trainedFor;

    private protected abstract ImageClassificationOptions Options();

    // Once a class: there is an object for every test, and only it knows its architecture.
    [TestInitialize]
    public void Train()
    {
        if (trainedFor == GetType())
            return;
        var options = Options();
        (options.Epochs, options.ValidationFraction) = (2, 0.25);
        var data = Ml.Data.LoadFromEnumerable(Colours.Rows(80));
        (model, trainedFor) = (Colours.Pipeline(Ml, options).Fit(data), GetType());
        saved = Save(model, data.Schema);
    }

    [ClassCleanup(InheritanceBehavior.BeforeEachDerivedClass)]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void AReloadedModel_ScoresTheSame()
    {
        var loaded = Load(saved, out var schema);
        Assert.AreEqual("Features", schema!["Features"].Name);
        Assert.AreEqual(FreshProcess.Describe(Ml, model, Sample), FreshProcess.Describe(Ml, loaded, Sample));
        Assert.AreEqual(model.GetOutputSchema(schema).ToString(), loaded.GetOutputSchema(schema).ToString());

        var transformer = loaded.AsEnumerable().OfType<ImageClassificationTransformer>().Single();
        Assert.IsFalse(transformer.Model.training);
        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, 3, 8, 8), transformer.FeatureColumnType);
        Assert.AreEqual("Label", transformer.LabelColumnName);
    }

    [TestMethod]
    public void AModelSavedAgain_IsTheSameFile()
    {
        var loaded = Load(saved, out var schema);
        var again = Save(loaded, schema!);
        foreach (
            var entry in new[] { "Model.key", "classifier.json", "weights.safetensors", "training.json" }.Select(name =>
                $"Transform_001/{name}"))
            CollectionAssert.AreEqual(ModelZip.Read(saved, entry), ModelZip.Read(again, entry), entry);
    }

    [TestMethod]
    public async Task AFreshProcess_LoadsAndPredicts_WithoutRegistration()
    {
        var zip = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(zip, saved);
            var printed = await FreshProcess.Predict(zip, Sample);
            FreshProcess.AssertScores(FreshProcess.Describe(Ml, model, Sample), printed, 1e-6);
        }
        finally
        {
            File.Delete(zip);
        }
    }

    private static byte[] Save(ITransformer transformer, DataViewSchema? schema)
    {
        using var stream = new MemoryStream();
        Ml.Model.Save(transformer, schema, stream);
        return stream.ToArray();
    }

    private static TransformerChain<ITransformer> Load(byte[] zip, out DataViewSchema? schema) =>
        (TransformerChain<ITransformer>)Ml.Model.Load(new MemoryStream(zip), out schema);
}
