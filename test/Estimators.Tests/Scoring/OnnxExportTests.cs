using Estimators.Tests.Generalists;
using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Scoring;

/// <summary>What <c>ConvertToOnnx</c> says to our transformers, whose networks have no ONNX form.</summary>
[TestClass]
public sealed class OnnxExportTests
{
    private static readonly string[] Transformers =
    [
        nameof(ImageClassificationTransformer),
        nameof(LanguageModelTransformer),
        nameof(GeneralistTransformer),
        nameof(GeneralistTaskTransformer),
    ];

    private readonly MLContext ml = new(seed: 1);

    public static IEnumerable<string> All => Transformers;

    [TestMethod]
    [DynamicData(nameof(All))]
    public void EveryTransformer_IsRefusedByItsName_AloneInAChainNestedAndLoaded(string name)
    {
        var (model, data) = Train(name);
        using var whole = (model as IDisposable) ?? ((GeneralistTaskTransformer)model).Generalist;
        var column = data.Schema[0].Name;
        var copy = ml.Transforms.CopyColumns("Copy", column).Fit(data);
        var chain = new TransformerChain<ITransformer>(copy, model, ml.Transforms.CopyColumns("Another", column).Fit(data));
        var nested = new TransformerChain<ITransformer>(
            ml.Transforms.CopyColumns("First", column).Fit(data), new TransformerChain<ITransformer>(chain));
        using var file = new MemoryStream();
        ml.Model.Save(nested, data.Schema, file);
        file.Position = 0;
        var loaded = ml.Model.Load(file, out _);
        using var loadedToo = loaded as IDisposable;

        foreach (var each in new ITransformer[] { model, chain, nested, loaded })
        {
            using var stream = new MemoryStream();
            var message = Assert.ThrowsExactly<InvalidOperationException>(() => ml.Model.ConvertToOnnx(each, data, stream)).Message;
            StringAssert.StartsWith(message, $"The transformer {name} cannot be exported to ONNX");
            Assert.AreEqual(0, stream.Length);
        }
    }

    [TestMethod]
    public void WhatComesBehindIt_IsExportedWithDataThatAreInMemory_AndNotThroughIt()
    {
        using var model = Colours.Trainer(ml, Colours.Options()).Fit(Colours.WithKeys(ml, Colours.Rows(40)));
        var scored = model.Transform(Colours.WithKeys(ml, Colours.Rows(20)));
        var behind = ml.Transforms.NormalizeMinMax("Score").Fit(scored);

        StringAssert.StartsWith(
            Assert.ThrowsExactly<InvalidOperationException>(() => Export(behind, scored)).Message,
            "The transformer ImageClassificationTransformer cannot be exported to ONNX");

        Assert.IsGreaterThan(0, Export(behind, ml.Data.Cache(scored, "Score")).Length);
    }

    [TestMethod]
    public void BeforeAStepThatCannotBeExportedEither_ItsScoresBecomeNoInput()
    {
        using var model = Colours.Trainer(ml, Colours.Options()).Fit(Colours.WithKeys(ml, Colours.Rows(40)));
        var data = Colours.WithKeys(ml, Colours.Rows(20));
        var custom = ml.Transforms.CustomMapping<Number, Number>((from, to) => to.Id = from.Id, contractName: null).Fit(data);
        var chain = new TransformerChain<ITransformer>(model, custom);
        Assert.Throws<InvalidOperationException>(() => Export(chain, data));
    }

    private byte[] Export(ITransformer model, IDataView data)
    {
        using var stream = new MemoryStream();
        ml.Model.ConvertToOnnx(model, data, stream);
        return stream.ToArray();
    }

    private (ITransformer Model, IDataView Data) Train(string name)
    {
        if (name == nameof(ImageClassificationTransformer))
        {
            var images = Colours.WithKeys(ml, Colours.Rows(24));
            var options = Colours.Options();
            options.Epochs = 1;
            return (Colours.Trainer(ml, options).Fit(images), images);
        }
        if (name == nameof(LanguageModelTransformer))
        {
            var options = Rhymes.Options();
            options.Epochs = 1;
            return (ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(ml)), Rhymes.Data(ml));
        }

        var generalist = Toys.Options("mood");
        generalist.Epochs = 1;
        var rows = Toys.View(ml, Toys.Rows("mood", 16, seed: 1));
        var trained = ml.Transforms.UniPerceiverGeneralist(generalist).Fit(rows);
        return (name == nameof(GeneralistTransformer) ? trained : trained.ForTask("mood"), rows);
    }

    private sealed class Number
    {
        public int Id { get; set; }
    }
}
