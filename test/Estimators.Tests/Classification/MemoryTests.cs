using System.Globalization;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>What a training and a model took goes back to the operating system.</summary>
[TestClass]
public sealed class MemoryTests
{
    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void TrainingAndAModelGiveTheirMemoryBack()
    {
        var ml = new MLContext(seed: 1);
        long training = 0;
        var options = Colours.Options();
        options.Epochs = 1;
        options.Alter(a => a with { Width = 512, Experts = 2, ExpertWidth = 4096 });
        options.Progress = _ => training = ResidentMegabytes();

        var model = ml.MulticlassClassification.Trainers.WideNetImageClassifier(options).Fit(Colours.WithKeys(ml, Colours.Rows(20)));
        var trained = ResidentMegabytes();
        var weights = model.Model.parameters().Sum(parameter => parameter.numel()) * sizeof(float) >> 20;
        model.Dispose();
        var disposed = ResidentMegabytes();

        Assert.AreEqual(36, weights);
        Assert.IsGreaterThan(2 * weights, training - trained, "gradients and two moments, each as large as the weights");
        Assert.IsGreaterThan(weights / 2, trained - disposed);
    }

    private static long ResidentMegabytes() =>
        long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize >> 20;
}
