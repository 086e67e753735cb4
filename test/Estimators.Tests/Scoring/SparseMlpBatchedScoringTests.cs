using Estimators.Tests.Support;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Scoring;

/// <summary>Scoring with a Sparse-MLP.</summary>
[TestClass]
public sealed class SparseMlpBatchedScoringTests : BatchedScoringTests
{
    private protected override ImageClassificationOptions Options() => Colours.SparseMlpOptions();
}
