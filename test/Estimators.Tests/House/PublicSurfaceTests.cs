using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Tests.Shared;

namespace Estimators.Tests.House;

/// <summary>What holds for every public member of the estimators, whoever calls it in whatever language.</summary>
[TestClass]
public sealed class PublicSurfaceTests
{
    private static readonly Type[] Types = typeof(WideNetImageClassifier).Assembly.GetExportedTypes();

    [TestMethod]
    public void EveryMember_IsUsableInFSharpAndVisualBasic()
    {
        var unusable = PublicSurface.UnusableInSomeLanguage(Types);
        Assert.HasCount(0, unusable, string.Join('\n', unusable));
    }

    [TestMethod]
    public void NoMember_TakesMoreThanSevenParameters()
    {
        var longest = PublicSurface.LongParameterLists(Types);
        Assert.HasCount(0, longest, string.Join('\n', longest));
    }
}
