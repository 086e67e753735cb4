using System.IO.Compression;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Xml.Linq;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Package.Tests;

[TestClass]
public sealed class PackageContentsTests
{
    [TestMethod]
    public void Pack_MakesTheTwoPackagesAndTheirSymbols_WithoutAWarning()
    {
        var version = BuildInfo.Version;
        CollectionAssert.AreEquivalent(
            new[]
            {
                $"MoE.ML.{version}.nupkg",
                $"MoE.ML.{version}.snupkg",
                $"MoE.ML.Models.{version}.nupkg",
                $"MoE.ML.Models.{version}.snupkg",
            },
            Directory.GetFiles(PackedPackages.Folder).Select(Path.GetFileName).ToArray());
        Assert.DoesNotContain("warning", PackedPackages.PackOutput);
    }

    [TestMethod]
    [DataRow("MoE.ML", new[] { "MoE.ML.Models", "Microsoft.ML", "Microsoft.ML.ImageAnalytics", "Microsoft.ML.Tokenizers", "TorchSharp" })]
    [DataRow("MoE.ML.Models", new[] { "TorchSharp" })]
    public void ThePackage_DependsOnNothingElse(string id, string[] dependencies)
    {
        using var package = PackedPackages.Open(id);
        var nuspec = ReadXml(package, $"{id}.nuspec");
        var groups = nuspec.Descendants().Where(e => e.Name.LocalName == "group").ToArray();
        var found = groups.Single().Elements().ToDictionary(d => (string)d.Attribute("id")!, d => (string)d.Attribute("version")!);

        Assert.AreEqual("net10.0", (string?)groups[0].Attribute("targetFramework"));
        CollectionAssert.AreEquivalent(dependencies, found.Keys.ToArray());
        foreach (var (dependency, version) in found)
            Assert.AreEqual(dependency == "MoE.ML.Models" ? BuildInfo.Version : BuildInfo.VersionOf(dependency), version, dependency);
    }

    [TestMethod]
    [DataRow("MoE.ML", "Microsoft.ML.MoE.Estimators")]
    [DataRow("MoE.ML.Models", "Microsoft.ML.MoE")]
    public void ThePackage_HoldsOneAssemblyWithItsDocsAndTheLegalTexts(string id, string assembly)
    {
        using var package = PackedPackages.Open(id);
        var content = package
            .Entries.Select(e => e.FullName)
            .Where(n => !n.StartsWith("_rels", StringComparison.Ordinal) && !n.StartsWith("package/", StringComparison.Ordinal));
        CollectionAssert.AreEquivalent(
            new[]
            {
                $"{id}.nuspec",
                "[Content_Types].xml",
                "README.md",
                "LICENSE",
                "THIRD-PARTY-NOTICES.txt",
                $"lib/net10.0/{assembly}.dll",
                $"lib/net10.0/{assembly}.xml",
            },
            content.ToArray());
        foreach (var name in new[] { "README.md", "LICENSE", "THIRD-PARTY-NOTICES.txt" })
            Assert.IsGreaterThan(0, package.GetEntry(name)!.Length, name);

        using var symbols = PackedPackages.Open(id, "snupkg");
        Assert.IsNotNull(symbols.GetEntry($"lib/net10.0/{assembly}.pdb"));
    }

    [TestMethod]
    [DataRow("MoE.ML", "Microsoft.ML.MoE.Estimators")]
    [DataRow("MoE.ML.Models", "Microsoft.ML.MoE")]
    public void TheAssembly_KeepsTheVersionThatModelZipsName(string id, string assembly)
    {
        using var package = PackedPackages.Open(id);
        using var stream = new MemoryStream();
        using (var entry = package.GetEntry($"lib/net10.0/{assembly}.dll")!.Open())
            entry.CopyTo(stream);
        stream.Position = 0;

        using var image = new PEReader(stream);
        var metadata = image.GetMetadataReader();
        var definition = metadata.GetAssemblyDefinition();
        Assert.AreEqual(assembly, metadata.GetString(definition.Name));
        Assert.AreEqual(new Version(1, 0, 0, 0), definition.Version);
        Assert.IsTrue(image.ReadDebugDirectory().Any(d => d.Type == DebugDirectoryEntryType.Reproducible), "built deterministically");
    }

    private static XDocument ReadXml(ZipArchive package, string name)
    {
        using var stream = package.GetEntry(name)!.Open();
        return XDocument.Load(stream);
    }
}
