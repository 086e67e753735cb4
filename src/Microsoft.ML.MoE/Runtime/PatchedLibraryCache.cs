using System.Runtime.Versioning;
using System.Security.Cryptography;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>Keeps edited copies of native libraries in a folder that only the user can write to.</summary>
[UnsupportedOSPlatform("windows")]
internal static class PatchedLibraryCache
{
    // Part of the file name: raise it when the edit changes.
    private const int PatchVersion = 1;

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary><c>$XDG_CACHE_HOME/moe-ml</c>, or <c>~/.cache/moe-ml</c>; null for a user without a home.</summary>
    public static string? DefaultFolder
    {
        get
        {
            // The XDG Base Directory Specification has relative paths ignored.
            var cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            if (string.IsNullOrEmpty(cache) || !Path.IsPathFullyQualified(cache))
            {
                var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
                if (string.IsNullOrEmpty(home))
                    return null;
                cache = Path.Combine(home, ".cache");
            }

            return Path.Combine(cache, "moe-ml");
        }
    }

    /// <summary>
    /// The path of a file in <paramref name="folder"/> that holds exactly <paramref name="patched"/>, written if it is missing or differs.
    /// </summary>
    /// <param name="folder">The cache folder, created with mode 0700 if it is missing.</param>
    /// <param name="source">The library that was edited; its content and the edit's version name the copy.</param>
    /// <param name="patched">The edited library.</param>
    /// <param name="name">What the file's name starts with.</param>
    /// <exception cref="IOException">The folder or the file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder belongs to someone else or cannot be written.</exception>
    public static string Store(string folder, byte[] source, byte[] patched, string name)
    {
        _ = Directory.CreateDirectory(folder, OwnerOnly);
        // Only the owner can change a mode: a folder that someone else made, and could plant libraries in, fails here.
        File.SetUnixFileMode(folder, OwnerOnly);

        var path = Path.Combine(folder, $"{name}-{Convert.ToHexStringLower(SHA256.HashData(source))}-p{PatchVersion}.so");
        if (Holds(path, patched))
            return path;

        // Written beside and renamed, so that a process that starts meanwhile sees the whole file or none, and one that has the old file
        // mapped keeps it.
        var temporary = Path.Combine(folder, Path.GetRandomFileName());
        try
        {
            using (var stream = new FileStream(
                    temporary,
                    new FileStreamOptions
                    {
                        Mode = FileMode.CreateNew,
                        Access = FileAccess.Write,
                        UnixCreateMode = OwnerOnly,
                    }
                ))
            {
                stream.Write(patched);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }

        return path;
    }

    private static bool Holds(string path, byte[] content)
    {
        var file = new FileInfo(path);
        return file.Exists && file.Length == content.Length && File.ReadAllBytes(path).AsSpan().SequenceEqual(content);
    }
}
