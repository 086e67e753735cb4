using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
[OSCondition(OperatingSystems.Linux)]
public sealed class ElfVersionNeedsTests
{
    private const string Missing = "GLIBCXX_3.4.32";

    [TestMethod]
    public void TorchSharp_needs_the_versions_that_readelf_lists()
    {
        var needs = ElfVersionNeeds.Parse(Library()).Needs;

        Assert.HasCount(28, needs);
        Assert.AreEqual(
            ("libstdc++.so.6", (ushort)18, false),
            needs.Where(need => need.Version == Missing).Select(need => (need.Library, need.Index, need.IsWeak)).Single());
        CollectionAssert.AreEquivalent(
            new[] { "GLIBC_2.14", "GLIBC_2.34", "GLIBC_2.32", "GLIBC_2.4", "GLIBC_2.2.5" },
            needs.Where(need => need.Library == "libc.so.6").Select(need => need.Version).ToArray());
    }

    [TestMethod]
    public void Weakening_changes_one_flag_and_nothing_else()
    {
        var source = Library();
        var elf = ElfVersionNeeds.Parse(source);
        var untouched = (byte[])source.Clone();

        var patched = elf.Weaken(Missing);

        CollectionAssert.AreEqual(untouched, source);
        Assert.HasCount(source.Length, patched);
        var changed = Enumerable.Range(0, source.Length).Where(i => source[i] != patched[i]).ToArray();
        CollectionAssert.AreEqual(new[] { elf.Needs.Single(need => need.Version == Missing).FlagsOffset }, changed);
        Assert.AreEqual(2, patched[changed[0]]);
        CollectionAssert.AreEqual(
            elf.Needs.Select(need => need with { IsWeak = need.Version == Missing }).ToArray(),
            ElfVersionNeeds.Parse(patched).Needs.ToArray());
    }

    [TestMethod]
    public void A_version_whose_symbols_are_used_is_refused()
    {
        var elf = ElfVersionNeeds.Parse(Library());
        foreach (var version in new[] { "GLIBCXX_3.4", "CXXABI_1.3", "GLIBC_2.2.5" })
        {
            var error = Assert.ThrowsExactly<InvalidOperationException>(() => elf.Weaken(version));
            Assert.Contains(version, error.Message);
            Assert.Contains("uses its symbol", error.Message);
        }
    }

    [TestMethod]
    public void A_version_that_is_not_needed_is_refused() =>
        Assert.Contains(
            "GLIBCXX_9.9",
            Assert.ThrowsExactly<InvalidOperationException>(() => ElfVersionNeeds.Parse(Library()).Weaken("GLIBCXX_9.9")).Message);

    [TestMethod]
    public void A_truncated_library_is_refused()
    {
        var library = Library();
        foreach (var length in new[] { 0, 1, 4, 19, 20, 63, 64, 100, 500, 0x3f900, 0x3fb00, 0x48aa0, 0x100000, 0x1d4b00, 0x1d4b20 })
            _ = Assert.ThrowsExactly<InvalidDataException>(() => ElfVersionNeeds.Parse(library[..length]), $"{length} bytes");
    }

    [TestMethod]
    public void Another_kind_of_file_is_refused()
    {
        var library = Library();
        Assert.Contains("not a 64-bit", Refuse(at: 4, value: 1));  // 32-bit
        Assert.Contains("not a 64-bit", Refuse(at: 5, value: 2));  // big-endian
        Assert.Contains("machine 183", Refuse(at: 18, value: 183)); // AArch64
        Assert.Contains("type is 1", Refuse(at: 16, value: 1));   // relocatable object
        _ = Assert.ThrowsExactly<InvalidDataException>(() =>
            ElfVersionNeeds.Parse(File.ReadAllBytes(typeof(ElfVersionNeeds).Assembly.Location)));

        string Refuse(int at, byte value)
        {
            var changed = (byte[])library.Clone();
            changed[at] = value;
            return Assert.ThrowsExactly<InvalidDataException>(() => ElfVersionNeeds.Parse(changed)).Message;
        }
    }

    [TestMethod]
    public void Damaged_bytes_are_read_or_refused_but_never_lead_outside_the_file()
    {
        var library = Library();
        // Headers, versions, relocations, dynamic segment.
        var regions = new (int Start, int Size)[] { (0, 0x300), (0x3f8f0, 0x210), (0x3fb00, 0x2000), (0x1d4b18, 0x240) };
        var random = new Random(20260507);
        var refused = 0;
        for (var trial = 0; trial < 3000; trial++)
        {
            var (start, size) = regions[trial % regions.Length];
            var at = start + random.Next(size - 8);
            var before = library.AsSpan(at, 8).ToArray();
            random.NextBytes(library.AsSpan(at, random.Next(1, 9)));
            try
            {
                Assert.IsLessThanOrEqualTo(0x7fff, ElfVersionNeeds.Parse(library).Needs.Count);
            }
            catch (InvalidDataException)
            {
                refused++;
            }

            before.CopyTo(library, at);
        }

        Assert.IsGreaterThan(500, refused);
    }

    [TestMethod]
    public void Missing_versions_are_found_in_the_loaders_message()
    {
        string[] messages =
        [
            "/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /app/libLibTorchSharp.so)",
            "/lib64/libstdc++.so.6: Version »GLIBCXX_3.4.32« nicht gefunden (von /app/libLibTorchSharp.so benötigt)",
        ];
        foreach (var message in messages)
            CollectionAssert.AreEqual(new[] { Missing }, NativeTorch.MissingVersions(message).ToArray());
        Assert.IsEmpty(NativeTorch.MissingVersions("libtorch.so: cannot open shared object file: No such file or directory"));
    }

    private static byte[] Library() => File.ReadAllBytes(TorchLibrary.Path);
}
