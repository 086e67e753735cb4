using Microsoft.VisualStudio.TestTools.UnitTesting;
using Samples;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class SameProgramTests
{
    [TestMethod]
    public void AnExecutable_StartsItself() => Check("/app/FashionMnist", "--score", "some folder");

    [TestMethod]
    [DataRow("/usr/share/dotnet/dotnet")]
    [DataRow("dotnet.exe")]
    public void Dotnet_IsGivenTheAssembly(string processPath) => Check(processPath, "/app/FashionMnist.dll", "--score", "some folder");

    private static void Check(string processPath, params string[] arguments)
    {
        var start = SameProgram.With(processPath, "/app/FashionMnist.dll", "--score", "some folder");
        Assert.AreEqual(processPath, start.FileName);
        CollectionAssert.AreEqual(arguments, start.ArgumentList);
    }
}
