using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Tests.Shared;

namespace Microsoft.ML.MoE.Tests.House;

/// <summary>What holds for every public member of the library, whoever calls it in whatever language.</summary>
[TestClass]
public sealed class PublicSurfaceTests
{
    private static readonly Type[] Types = typeof(WideNetConfig).Assembly.GetExportedTypes();

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

    [TestMethod]
    [DataRow(nameof(ForCSharpAlone.Take), "values is a ReadOnlySpan`1, a ref struct")]
    [DataRow(nameof(ForCSharpAlone.TakeMany), "lists is a Span`1, a ref struct")]
    [DataRow(nameof(ForCSharpAlone.TakeAll), "values takes any number of arguments, but not as an array")]
    [DataRow(nameof(ForCSharpAlone.Change), "value is handed over by reference")]
    [DataRow(nameof(ForCSharpAlone.First), "returns a reference")]
    [DataRow(nameof(ForCSharpAlone.Address), "the result is a pointer")]
    [DataRow("", "has required members, which Visual Basic cannot set, and no constructor that does")]
    [DataRow("", "Take and take differ only in case")]
    public void WhatOnlyCSharpCanUse_IsFound(string member, string reason)
    {
        var name = member.Length == 0 ? typeof(ForCSharpAlone).FullName : $"{typeof(ForCSharpAlone).FullName}.{member}";
        Assert.Contains($"{name}: {reason}", PublicSurface.UnusableInSomeLanguage([typeof(ForCSharpAlone)]));
    }

    [TestMethod]
    public void ALongParameterList_IsFound() =>
        Assert.HasCount(1, PublicSurface.LongParameterLists([typeof(ForCSharpAlone)]));
}
