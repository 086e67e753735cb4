using Estimators.Tests.Support;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Persistence;

/// <summary>Saving and loading a WideNet.</summary>
[TestClass]
public sealed class WideNetRoundTripTests : RoundTripTests
{
    private protected override ImageClassificationOptions Options() => Colours.Options();
}
