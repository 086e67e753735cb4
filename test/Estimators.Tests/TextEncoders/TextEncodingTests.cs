using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Interchange;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.TextEncoders;

[TestClass]
public sealed class TextEncodingTests
{
    private static readonly MLContext Ml = new(seed: 1);

    private static readonly string[] Texts =
        ["The cat sat on the mat.", "dogs", "", "very very good", "CAFÉ", "the the the the the the the the the the the the", "zebra"];

    [TestMethod]
    public void AVectorIsTheMeanOfTheTokens()
    {
        using var scope = torch.NewDisposeScope();
        using var noGrad = torch.no_grad();
        using var tiny = new TinyEncoder();
        using var model = Encode(tiny);
        var vectors = Vectors(model, Texts);
        using var network = tiny.Weights.BuildTextEncoder();
        string[][] pieces =
        [
            ["[CLS]", "the", "cat", "sat", "on", "the", "mat", ".", "[SEP]"],
            ["[CLS]", "dog", "##s", "[SEP]"],
            ["[CLS]", "[SEP]"],
            ["[CLS]", "very", "very", "good", "[SEP]"],
            ["[CLS]", "cafe", "[SEP]"],
            ["[CLS]", .. Enumerable.Repeat("the", 10), "[SEP]"],
            ["[CLS]", "[UNK]", "[SEP]"],
        ];
        for (var i = 0; i < Texts.Length; i++)
        {
            var ids_1L = torch.tensor(TinyEncoder.Tokens(pieces[i])).unsqueeze(0);
            var mean_D = network.forward(ids_1L, torch.ones_like(ids_1L).to(torch.@bool), null).States_NLD.mean([1]).squeeze(0);
            var wanted = (mean_D / mean_D.norm()).data<float>().ToArray();
            for (var d = 0; d < wanted.Length; d++)
                Assert.AreEqual(wanted[d], vectors[i][d], 1e-5f, $"'{Texts[i]}', {d}");
        }
    }

    [TestMethod]
    public void AZipGivesTheSameVectors_AlsoOneByOne()
    {
        using var tiny = new TinyEncoder();
        using var model = Ml.Transforms.Text.EncodeText(
            new TextEncoding.Options { OutputColumnName = "Vector", InputColumnName = "Text", Weights = tiny.Weights, Normalize = false })
            .Fit(Data(Texts));
        var expected = Vectors(model, Texts);
        Assert.IsGreaterThan(0.1, expected.Max(vector => Math.Abs(Math.Sqrt(vector.Sum(x => x * x)) - 1)), "not of length 1");
        using var file = new MemoryStream();
        Ml.Model.Save(model, Data(Texts).Schema, file);
        file.Position = 0;
        var loaded = Ml.Model.Load(file, out _);
        var actual = Vectors(loaded, Texts);
        for (var i = 0; i < Texts.Length; i++)
            CollectionAssert.AreEqual(expected[i], actual[i]);

        using var engine = Ml.Model.CreatePredictionEngine<Row, Encoded>(loaded);
        var alone = engine.Predict(new Row { Text = Texts[0] }).Vector;
        for (var d = 0; d < alone.Length; d++)
            Assert.AreEqual(expected[0][d], alone[d], 1e-5f);
    }

    [TestMethod]
    public void ALinearModelLearnsFromTheVectors()
    {
        using var tiny = new TinyEncoder();
        Row[] rows =
        [
            .. Enumerable.Range(0, 40).Select(i => new Row { Text = i % 2 == 0 ? "the dog very good" : "the cat bad", Label = i % 2 == 0 }),
        ];
        var model = Ml.Transforms.Text.EncodeText("Features", "Text", tiny.Weights)
            .Append(Ml.BinaryClassification.Trainers.SdcaLogisticRegression())
            .Fit(Ml.Data.LoadFromEnumerable(rows));
        var metrics = Ml.BinaryClassification.Evaluate(model.Transform(Ml.Data.LoadFromEnumerable(rows)));
        Assert.AreEqual(1.0, metrics.Accuracy);
        ((IDisposable)model).Dispose();
    }

    [TestMethod]
    public void LongTextsAreCutAndCounted()
    {
        using var tiny = new TinyEncoder();
        var ml = new MLContext(seed: 1);
        var warnings = new List<string>();
        ml.Log += (_, message) =>
        {
            if (message.Kind == ChannelMessageKind.Warning)
                warnings.Add(message.RawMessage);
        };
        using var model = ml.Transforms.Text.EncodeText("Vector", "Text", tiny.Weights).Fit(Data(Texts));
        _ = Vectors(model, Texts);
        Assert.Contains("1 text has more than the 12 tokens that the network reads; the rest was left out.", string.Join('\n', warnings));
    }

    [TestMethod]
    public void SeveralThreadsEncodeSideBySide()
    {
        using var tiny = new TinyEncoder();
        using var model = Encode(tiny);
        var expected = Vectors(model, Texts);
        Parallel.For(0, 8, _ =>
        {
            var actual = Vectors(model, Texts);
            for (var i = 0; i < Texts.Length; i++)
                CollectionAssert.AreEqual(expected[i], actual[i]);
        });
    }

    [TestMethod]
    public void WhatCannotBeIsNamed()
    {
        using var tiny = new TinyEncoder();
        AssertRefused<ArgumentException>("Weights is null", o => o.Weights = null);
        AssertRefused<ArgumentException>("OutputColumnName is empty", o => o.OutputColumnName = " ");
        AssertRefused<ArgumentException>("PredictionBatchSize is 0", o => o.PredictionBatchSize = 0);
        AssertRefused<ArgumentOutOfRangeException>("Could not find text column 'Words'", o => o.InputColumnName = "Words");
        AssertRefused<ArgumentOutOfRangeException>("Schema mismatch for text column 'Label': expected String", o => o.InputColumnName = "Label");

        using var fewer = new TinyEncoder(vocabulary: 16);
        AssertRefused<InvalidDataException>("The tokenizer has 17 tokens, but the network 16", o => o.Weights = fewer.Weights);
        File.WriteAllText(Path.Combine(fewer.Folder, "vocab.txt"), "one\ntwo\n");
        AssertRefused<InvalidDataException>("The 2 lines are no word pieces of a BERT", o => o.Weights = fewer.Weights);
        File.Delete(Path.Combine(fewer.Folder, "vocab.txt"));
        AssertRefused<InvalidDataException>("has no vocab.txt", o => o.Weights = fewer.Weights);

        var images = Directory.CreateTempSubdirectory("moe-ml-test-").FullName;
        using (var classifier = VisionTransformerConfig.Tiny.Build())
            PretrainedWeights.Save(classifier, images);
        AssertRefused<ArgumentException>("a text encoder is wanted", o => o.Weights = PretrainedWeights.FromFolder(images));
        Directory.Delete(images, recursive: true);

        var model = Encode(tiny);
        model.Dispose();
        var error = Assert.ThrowsExactly<ObjectDisposedException>(() => Vectors(model, Texts));
        Assert.Contains(nameof(TextEncodingTransformer), error.Message);

        void AssertRefused<TError>(string message, Action<TextEncoding.Options> change) where TError : Exception
        {
            var options = new TextEncoding.Options { OutputColumnName = "Vector", InputColumnName = "Text", Weights = tiny.Weights };
            change(options);
            var refusal = Assert.ThrowsExactly<TError>(() => Ml.Transforms.Text.EncodeText(options).Fit(Data(Texts)));
            Assert.Contains(message, refusal.Message);
        }
    }

    private static TextEncodingTransformer Encode(TinyEncoder tiny) =>
        Ml.Transforms.Text.EncodeText("Vector", "Text", tiny.Weights).Fit(Data(Texts));

    private static IDataView Data(string[] texts) => Ml.Data.LoadFromEnumerable(texts.Select(text => new Row { Text = text }).ToArray());

    private static float[][] Vectors(ITransformer model, string[] texts) =>
        [.. model.Transform(Data(texts)).GetColumn<float[]>("Vector")];

    private sealed class Row
    {
        public string Text { get; set; } = "";

        public bool Label { get; set; }
    }

    private sealed class Encoded
    {
        public float[] Vector { get; set; } = [];
    }
}
