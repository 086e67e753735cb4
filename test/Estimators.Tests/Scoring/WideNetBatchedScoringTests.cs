using Estimators.Tests.Support;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Scoring;

/// <summary>Scoring with a WideNet.</summary>
[TestClass]
public sealed class WideNetBatchedScoringTests : BatchedScoringTests
{
    private protected override ImageClassificationOptions Options() => Colours.Options();
}
