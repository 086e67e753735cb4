using System.Reflection;
using System.Xml.Linq;

namespace Package.Tests;

/// <summary>What the build knew: where the tree is and what was built.</summary>
internal static class BuildInfo
{
    private static readonly Dictionary<string, string> Metadata = typeof(BuildInfo).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>()
        .GroupBy(a => a.Key)
        .ToDictionary(g => g.Key, g => g.First().Value ?? string.Empty);

    public static string RepositoryRoot => Metadata["RepositoryRoot"];

    public static string Configuration => Metadata["Configuration"];

    public static string Version => Metadata["Version"];

    /// <summary>The version of Microsoft.ML.TorchSharp that ours is tried beside.</summary>
    public static string TorchSharpTrainersVersion => Metadata["TorchSharpTrainersVersion"];

    /// <summary>The package with the CPU libtorch of this platform.</summary>
    public static string LibTorchPackage => $"libtorch-cpu-{Metadata["RuntimeIdentifier"]}";

    /// <summary>The version of a package that the tree pins.</summary>
    public static string VersionOf(string package) => XDocument.Load(Path.Combine(RepositoryRoot, "Directory.Packages.props"))
        .Descendants("PackageVersion")
        .Single(p => (string?)p.Attribute("Include") == package)
        .Attribute("Version")!.Value;
}
