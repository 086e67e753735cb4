using System.IO.Compression;
using Microsoft.VisualStudio.TestTools.UnitTesting;

[assembly: DoNotParallelize]   // each test runs builds of its own

namespace Package.Tests;

/// <summary>The packages, packed once for all tests into a folder of their own.</summary>
[TestClass]
public static class PackedPackages
{
    public static string Folder { get; private set; } = string.Empty;

    public static string PackOutput { get; private set; } = string.Empty;

    public static ZipArchive Open(string id, string extension = "nupkg") =>
        ZipFile.OpenRead(Path.Combine(Folder, $"{id}.{BuildInfo.Version}.{extension}"));

    [AssemblyInitialize]
    public static void Pack(TestContext _)
    {
        Folder = Directory.CreateTempSubdirectory("moe-ml-packages-").FullName;
        var (exitCode, output) = Cli.Dotnet(
            BuildInfo.RepositoryRoot, "pack", "MoE.ML.sln", "--no-build", "-c", BuildInfo.Configuration, "-o", Folder);
        PackOutput = output;
        Assert.AreEqual(0, exitCode, output);
    }

    [AssemblyCleanup]
    public static void Delete() => Directory.Delete(Folder, recursive: true);
}
