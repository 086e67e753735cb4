using System.IO.Compression;

namespace Estimators.Tests.Persistence;

/// <summary>Takes a model zip apart and puts it together again with something changed.</summary>
internal static class ModelZip
{
    /// <summary>The zip with one entry's bytes changed.</summary>
    /// <param name="zip">A zip.</param>
    /// <param name="entryName">How the entry's name ends.</param>
    /// <param name="change">Gives the new bytes, or null to leave the entry out.</param>
    public static byte[] With(byte[] zip, string entryName, Func<byte[], byte[]?> change)
    {
        using var result = new MemoryStream();
        using (var target = new ZipArchive(result, ZipArchiveMode.Create, leaveOpen: true))
        using (var source = new ZipArchive(new MemoryStream(zip)))
        {
            var found = false;
            foreach (var entry in source.Entries)
            {
                var bytes = Read(entry);
                if (entry.FullName.EndsWith(entryName, StringComparison.Ordinal))
                {
                    found = true;
                    bytes = change(bytes);
                }
                if (bytes is null)
                    continue;
                using var stream = target.CreateEntry(entry.FullName).Open();
                stream.Write(bytes);
            }
            if (!found)
                throw new InvalidOperationException($"The zip has no entry '{entryName}'.");
        }
        return result.ToArray();
    }

    /// <summary>The bytes of an entry.</summary>
    public static byte[] Read(byte[] zip, string entryName)
    {
        using var source = new ZipArchive(new MemoryStream(zip));
        return Read(source.Entries.Single(entry => entry.FullName.EndsWith(entryName, StringComparison.Ordinal)));
    }

    private static byte[] Read(ZipArchiveEntry entry)
    {
        using var stream = entry.Open();
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        return bytes.ToArray();
    }
}
