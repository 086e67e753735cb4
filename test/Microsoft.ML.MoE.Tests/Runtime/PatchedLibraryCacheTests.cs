using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
[OSCondition(OperatingSystems.Linux)]
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class PatchedLibraryCacheTests
{
    private static readonly byte[] Source = [1, 2, 3, 4];
    private static readonly byte[] Patched = [1, 2, 7, 4];

    [TestMethod]
    public void The_copy_is_written_once_into_a_folder_of_the_user_alone()
    {
        using var root = new TemporaryFolder();
        var folder = root.Combine("cache");

        var path = PatchedLibraryCache.Store(folder, Source, Patched, "lib");
        var written = File.GetLastWriteTimeUtc(path);
        File.SetLastWriteTimeUtc(path, written.AddDays(-1));

        Assert.AreEqual(path, PatchedLibraryCache.Store(folder, Source, Patched, "lib"));
        Assert.AreEqual(written.AddDays(-1), File.GetLastWriteTimeUtc(path));
        CollectionAssert.AreEqual(Patched, File.ReadAllBytes(path));
        CollectionAssert.AreEqual(new[] { path }, root.Files());
        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(path));
    }

    [TestMethod]
    public void Another_source_gets_another_copy()
    {
        using var root = new TemporaryFolder();
        Assert.AreNotEqual(
            PatchedLibraryCache.Store(root.Path, Source, Patched, "lib"), PatchedLibraryCache.Store(root.Path, [9, 9, 9], Patched, "lib"));
        Assert.HasCount(2, root.Files());
    }

    [TestMethod]
    public void A_damaged_copy_is_replaced()
    {
        using var root = new TemporaryFolder();
        var path = PatchedLibraryCache.Store(root.Path, Source, Patched, "lib");
        foreach (var damage in new byte[][] { [], [1, 2], [1, 2, 3, 4], [1, 2, 7, 4, 0] })
        {
            File.WriteAllBytes(path, damage);
            Assert.AreEqual(path, PatchedLibraryCache.Store(root.Path, Source, Patched, "lib"));
            CollectionAssert.AreEqual(Patched, File.ReadAllBytes(path));
            Assert.HasCount(1, root.Files());
        }
    }

    [TestMethod]
    public void A_folder_that_others_can_write_to_is_closed_to_them()
    {
        using var root = new TemporaryFolder();
        File.SetUnixFileMode(root.Path, (UnixFileMode)0b111_111_111);
        _ = PatchedLibraryCache.Store(root.Path, Source, Patched, "lib");
        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(root.Path));
    }
}
