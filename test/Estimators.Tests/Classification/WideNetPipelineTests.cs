using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary><see cref="WideNetImageClassifier"/> among ML.NET's own components.</summary>
[TestClass]
public sealed class WideNetPipelineTests : PipelineTests
{
    private protected override ImageClassificationOptions Options() => Colours.Options();

    private protected override ImageClassifierEstimator Simple(
        MLContext ml,
        string label,
        string feature,
        string score,
        string predictedLabel
    ) => ml.MulticlassClassification.Trainers.WideNetImageClassifier(label, feature, score, predictedLabel);
}
