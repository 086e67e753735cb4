using System.Xml.Linq;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Package.Tests;

/// <summary>A new project outside the tree that adds the packages from a folder.</summary>
[TestClass]
public sealed class ConsumerTests
{
    [TestMethod]
    public void WithABackend_TrainsSavesLoadsAndPredicts()
    {
        using var project = new ConsumerProject("Pictures", (BuildInfo.LibTorchPackage, BuildInfo.VersionOf(BuildInfo.LibTorchPackage)));
        project.Build();

        var (exitCode, output) = project.Run();
        Assert.AreEqual(0, exitCode, output);
        StringAssert.Contains(output, "reloaded: same scores");
    }

    [TestMethod]
    public void WithoutABackend_NamesThePackageToAdd()
    {
        using var project = new ConsumerProject("Pictures");
        project.Build();

        var (exitCode, output) = project.Run();
        Assert.AreNotEqual(0, exitCode, output);
        StringAssert.Contains(output, "cannot be loaded");
        StringAssert.Contains(output, "TorchSharp-cpu");
        StringAssert.Contains(output, BuildInfo.LibTorchPackage);
    }

    [TestMethod]
    public void BesideMicrosoftsTorchSharpTrainers_OneApplicationAndOnePipelineHoldBoth()
    {
        using var project = new ConsumerProject(
            "BesideTorchSharp",
            (BuildInfo.LibTorchPackage, BuildInfo.VersionOf(BuildInfo.LibTorchPackage)),
            ("Microsoft.ML.TorchSharp", BuildInfo.TorchSharpTrainersVersion));
        project.Build();

        var (exitCode, output) = project.Run();
        Assert.AreEqual(0, exitCode, output);
        StringAssert.Contains(output, "one pipeline: same scores");
        StringAssert.Contains(output, $"TorchSharp {BuildInfo.VersionOf("TorchSharp")}", "both use one, ours");
    }

    private sealed class ConsumerProject : IDisposable
    {
        private readonly string folder = Directory.CreateTempSubdirectory("moe-ml-consumer-").FullName;

        /// <param name="program">The folder of its Program.cs, below Consumer.</param>
        /// <param name="others">What it references besides MoE.ML.</param>
        public ConsumerProject(string program, params (string Id, string Version)[] others)
        {
            (string Id, string Version)[] packages = [("MoE.ML", BuildInfo.Version), .. others];
            new XElement(
                "Project",
                new XAttribute("Sdk", "Microsoft.NET.Sdk"),
                new XElement(
                    "PropertyGroup",
                    new XElement("OutputType", "Exe"),
                    new XElement("TargetFramework", "net10.0"),
                    new XElement("Nullable", "enable"),
                    new XElement("ImplicitUsings", "enable"),
                    new XElement("JsonSerializerIsReflectionEnabledByDefault", "false")
                ),   // as where an application is published with trimming: models are saved there too
                new XElement(
                    "ItemGroup",
                    packages.Select(p => new XElement(
                        "PackageReference", new XAttribute("Include", p.Id), new XAttribute("Version", p.Version))))
            ).Save(Path.Combine(folder, "Consumer.csproj"));

            // Our packages come fresh from their folder into a cache of this project's own; all others come from where this machine has
            // them.
            new XElement(
                "configuration",
                new XElement("packageSources", Add("packed", PackedPackages.Folder)),
                new XElement("config", Add("globalPackagesFolder", Path.Combine(folder, "packages"))),
                new XElement("fallbackPackageFolders", Add("machine", MachinePackages())))
                .Save(Path.Combine(folder, "NuGet.config"));

            File.Copy(Path.Combine(AppContext.BaseDirectory, "Consumer", program, "Program.cs"), Path.Combine(folder, "Program.cs"));
        }

        public void Build()
        {
            var (exitCode, output) = Cli.Dotnet(folder, "build", "-c", "Release");
            Assert.AreEqual(0, exitCode, output);
        }

        public Cli.Outcome Run() => Cli.Dotnet(folder, Path.Combine("bin", "Release", "net10.0", "Consumer.dll"));

        public void Dispose() => Directory.Delete(folder, recursive: true);

        private static XElement Add(string key, string value) => new("add", new XAttribute("key", key), new XAttribute("value", value));

        private static string MachinePackages()
        {
            var (exitCode, output) = Cli.Dotnet(
                Path.GetTempPath(), "nuget", "locals", "global-packages", "--list", "--force-english-output");
            Assert.AreEqual(0, exitCode, output);
            return output.Trim()["global-packages: ".Length..];
        }
    }
}
