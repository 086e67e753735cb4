using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
public sealed class TorchRuntimeTests
{
    [TestMethod]
    public void Matrices_multiply_after_initialize()
    {
        TorchRuntime.Initialize();
        TorchRuntime.Initialize();

        using var scope = NewDisposeScope();
        var a = tensor(new float[] { 1, 2, 3, 4 }, [2, 2]);
        var b = tensor(new float[] { 5, 6, 7, 8 }, [2, 2]);
        CollectionAssert.AreEqual(new float[] { 19, 22, 43, 50 }, a.mm(b).data<float>().ToArray());
    }

    [TestMethod]
    [RequiresPatchedTorch]
    public async Task Torch_alone_does_not_load_on_an_old_system()
    {
        using var root = new TemporaryFolder();
        // Else TorchSharp copies half a gigabyte of packages beside itself, and fails nevertheless.
        var output = await ChildProcess.Run("torch alone", [("NUGET_PACKAGES", root.Path)]);
        Assert.Contains("TypeInitializationException", output);
        Assert.DoesNotContain("multiplied", output);
    }

    [TestMethod]
    [DataRow("initialize, torch")]
    [DataRow("ours, torch")]
    [DataRow("resolver, initialize, torch")]
    public async Task Torch_loads_after_any_use_of_the_library(string scenario)
    {
        using var root = new TemporaryFolder();
        Assert.AreEqual("multiplied", await ChildProcess.Run(scenario, [("XDG_CACHE_HOME", root.Path)]));
    }

    [TestMethod]
    [RequiresPatchedTorch]
    public async Task Processes_that_start_together_share_one_copy()
    {
        using var root = new TemporaryFolder();

        var outputs = await Task.WhenAll(
            Enumerable.Range(0, 3).Select(_ => ChildProcess.Run("initialize, torch", [("XDG_CACHE_HOME", root.Path)])));

        CollectionAssert.AreEqual(new[] { "multiplied", "multiplied", "multiplied" }, outputs);
        var copy = root.Files().Single();
        Assert.AreEqual(root.Combine("moe-ml"), Path.GetDirectoryName(copy));
        var source = File.ReadAllBytes(TorchLibrary.Path);
        CollectionAssert.AreEqual(ElfVersionNeeds.Parse(source).Weaken("GLIBCXX_3.4.32"), File.ReadAllBytes(copy));
    }

    [TestMethod]
    [RequiresPatchedTorch]
    public async Task A_home_that_cannot_be_written_to_does_not_matter()
    {
        using var root = new TemporaryFolder();
        var (notAFolder, temporary) = (root.Combine("file"), root.Combine("tmp"));
        File.WriteAllText(notAFolder, "");
        _ = Directory.CreateDirectory(temporary);

        var output = await ChildProcess.Run("initialize, torch", [("XDG_CACHE_HOME", notAFolder), ("TMPDIR", temporary)]);

        Assert.AreEqual("multiplied", output);
        Assert.IsEmpty(Directory.GetFiles(temporary, "*.so", SearchOption.AllDirectories));
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public async Task Libraries_are_found_where_a_portable_build_puts_them()
    {
        using var app = CopyWithoutLibraries();
        using var cache = new TemporaryFolder();
        var runtimes = Directory.CreateDirectory(app.Combine("runtimes", "linux-x64"));
        _ = Directory.CreateSymbolicLink(Path.Combine(runtimes.FullName, "native"), AppContext.BaseDirectory);
        try
        {
            Assert.AreEqual("multiplied", await ChildProcess.Run("initialize, torch", [("XDG_CACHE_HOME", cache.Path)], app.Path));
        }
        finally
        {
            Directory.Delete(Path.Combine(runtimes.FullName, "native")); // the link, before its folder is deleted with all it holds
        }
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public async Task A_missing_backend_is_named_and_nothing_else_is_printed()
    {
        using var app = CopyWithoutLibraries();

        var output = await ChildProcess.Run("initialize, torch", [], app.Path);

        Assert.StartsWith("InvalidOperationException: libtorch", output);
        Assert.Contains("TorchSharp-cpu", output);
        Assert.Contains("libtorch-cpu-linux-x64", output);
        Assert.Contains("TorchSharp-cuda-linux", output);
        Assert.Contains(app.Path, output); // where it was looked for
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    [DataRow("huge pages", null, "1")]
    [DataRow("huge pages", "0", "0")]
    [DataRow("huge pages, switched off", null, "unset")]
    [DataRow("huge pages, switched off", "1", "1")]
    [DataRow("huge pages, set by the program", null, "no")]
    public async Task Huge_pages_are_on_unless_the_user_says_otherwise(string scenario, string? inEnvironment, string expected)
    {
        Assert.AreEqual(expected, await ChildProcess.Run(scenario, [("THP_MEM_ALLOC_ENABLE", inEnvironment)]));
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    [DataRow("GOMP_SPINCOUNT", null, "1000")]
    [DataRow("GOMP_SPINCOUNT", "7", "7")]
    [DataRow("OMP_WAIT_POLICY", "passive", "unset")]
    public async Task Threads_spin_shortly_unless_the_user_says_otherwise(string variable, string? inEnvironment, string expected)
    {
        Assert.AreEqual(expected, await ChildProcess.Run("spin count", [("GOMP_SPINCOUNT", null), (variable, inEnvironment)]));
    }

    /// <summary>The test executable with its assemblies but no native library, and no list of where they would be.</summary>
    private static TemporaryFolder CopyWithoutLibraries()
    {
        var folder = new TemporaryFolder();
        foreach (var file in Directory.GetFiles(AppContext.BaseDirectory))
        {
            if (Path.GetExtension(file) == ".dll" || file.EndsWith(".runtimeconfig.json", StringComparison.Ordinal))
                File.Copy(file, folder.Combine(Path.GetFileName(file)));
        }

        return folder;
    }
}
