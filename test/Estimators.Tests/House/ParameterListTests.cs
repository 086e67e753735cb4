using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Tests.Shared;

namespace Estimators.Tests.House;

/// <summary>What CONTRIBUTING says of parameter lists.</summary>
[TestClass]
public sealed class ParameterListTests
{
    [TestMethod]
    public void NoneIsLongerThanSeven()
    {
        var longer = ParameterLists.LongerThan(7, typeof(WideNetImageClassifier).Assembly, "Microsoft.ML.MoE");
        Assert.HasCount(0, longer, $"What travels together is a record:\n{string.Join('\n', longer)}");
    }
}
