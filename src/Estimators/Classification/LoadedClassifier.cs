using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What <see cref="ClassifierFormat"/> reads from a model zip.</summary>
internal sealed record LoadedClassifier(
    ClassifierDocument Document, ImageColumn Column, LabelValues? LabelValues, ImageClassificationSummary? Training, ImageClassifier Model);
