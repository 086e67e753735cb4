using Estimators.Tests.Support;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Persistence;

/// <summary>Saving and loading a Sparse-MLP.</summary>
[TestClass]
public sealed class SparseMlpRoundTripTests : RoundTripTests
{
    private protected override ImageClassificationOptions Options() => Colours.SparseMlpOptions();
}
