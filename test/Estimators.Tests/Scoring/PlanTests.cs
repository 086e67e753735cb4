using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Estimators.Tests.Scoring;

/// <summary>Transformers score by a plan of their model, which follows the model's weights.</summary>
[TestClass]
public sealed class PlanTests
{
    private static readonly MLContext Ml = new(seed: 1);
    private static readonly List<ColourRow> Rows = Colours.Rows(24, seed: 9);

    [TestMethod]
    public void ChangedWeightsChangeTheScores()
    {
        using var transformer = Fit();
        var before = Scores(transformer);
        var head = transformer.Model.named_parameters().Single(pair => pair.name == "classes.bias").parameter;
        CollectionAssert.AreEqual(before, Scores(transformer), "looking at the model changes nothing");

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        head.narrow(0, 0, 1).add_(100);
        Assert.IsTrue(Scores(transformer).Where((_, i) => i % 4 == 0).All(score => score > 0.999f));
        head.narrow(0, 0, 1).sub_(100);
        var after = Scores(transformer);
        for (var i = 0; i < after.Length; i++)
            Assert.AreEqual(before[i], after[i], 1e-4f);
        head.fill_(float.NaN);
        Assert.IsTrue(Scores(transformer).All(float.IsNaN));
    }

    [TestMethod]
    public void ADisposedTransformerDoesNotScore()
    {
        var transformer = Fit();
        var scored = transformer.Transform(Ml.Data.LoadFromEnumerable(Rows));
        _ = Scores(transformer);
        transformer.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => scored.GetColumn<float[]>("Score").ToArray());
        Assert.IsNotNull(transformer.Model);
    }

    [TestMethod]
    [RequiresAvx2]
    public void ScoringMakesNoTensor()
    {
        using var transformer = Fit();
        using var engine = Ml.Model.CreatePredictionEngine<ColourRow, Scored>(
            transformer, new PredictionEngineOptions { OwnsTransformer = false });
        _ = engine.Predict(Rows[0]);
        var before = LiveTensors.Count();
        for (var turn = 0; turn < 20; turn++)
            _ = engine.Predict(Rows[turn]);
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    public void ThreadsScoreSideBySide()
    {
        using var transformer = Fit();
        var wanted = Scores(transformer);
        var found = new float[8][];
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, thread =>
        {
            using var engine = Ml.Model.CreatePredictionEngine<ColourRow, Scored>(
                transformer, new PredictionEngineOptions { OwnsTransformer = false });
            found[thread] = [.. Rows.SelectMany(row => engine.Predict(row).Score)];
        });
        foreach (var scores in found)
        {
            for (var i = 0; i < wanted.Length; i++)
                Assert.AreEqual(wanted[i], scores[i], 1e-5f);
        }
    }

    private static ImageClassificationTransformer Fit()
    {
        var options = Colours.Options();
        (options.Epochs, options.Precision) = (1, Precision.Float32);
        return Colours.Trainer(Ml, options).Fit(Colours.WithKeys(Ml, Rows));
    }

    private static float[] Scores(ImageClassificationTransformer transformer) =>
        [.. transformer.Transform(Ml.Data.LoadFromEnumerable(Rows)).GetColumn<float[]>("Score").SelectMany(scores => scores)];

    private sealed class Scored
    {
        public float[] Score { get; set; } = [];
    }
}
