using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>Training and scoring on a GPU.</summary>
[TestClass]
[RequiresCuda]
[TestCategory("Cuda")]
public sealed class CudaTests
{
    [TestMethod]
    public void AModelTrainedOnAGpu_ScoresAlikeOnTheCpu()
    {
        var onGpu = new MLContext(seed: 1) { GpuDeviceId = 0, FallbackToCpu = false };
        var data = Colours.WithKeys(onGpu, Colours.Rows(200));
        var options = Colours.Options();
        options.Precision = Precision.Float32;   // what is chosen by itself may differ between the devices
        using var trained = onGpu.MulticlassClassification.Trainers.WideNetImageClassifier(options).Fit(data);
        Assert.IsGreaterThan(0.9, onGpu.MulticlassClassification.Evaluate(trained.Transform(data)).MicroAccuracy);
        using var file = new MemoryStream();
        onGpu.Model.Save(trained, data.Schema, file);

        var onCpu = new MLContext(seed: 1);
        file.Position = 0;
        var loaded = onCpu.Model.Load(file, out _);

        var (expected, actual) = (Scores(trained), Scores(loaded));
        for (var i = 0; i < expected.Length; i++)
            Assert.AreEqual(expected[i], actual[i], 1e-3);

        float[] Scores(ITransformer model) => [.. model.Transform(data).GetColumn<float[]>("Score").SelectMany(scores => scores)];
    }
}
