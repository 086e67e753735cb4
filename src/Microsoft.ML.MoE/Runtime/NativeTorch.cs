using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Runtime.Versioning;
using System.Text.RegularExpressions;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Loads TorchSharp's native library where its own loader cannot.
/// </summary>
/// <remarks>
/// TorchSharp's <c>libLibTorchSharp.so</c> is built with GCC 13 and asks for <c>GLIBCXX_3.4.32</c>, which Debian 12, Ubuntu 22.04 and RHEL
/// 9 do not have. The only symbol of that version, <c>std::ios_base_library_init</c>, orders the initialisation of the standard streams and
/// is referred to by no relocation; older libstdc++ initialises the streams with the first library that uses them, and libtorch_cpu, loaded
/// before, does. So a private copy that marks the version as optional runs as the original would.
/// </remarks>
internal static partial class NativeTorch
{
    private const string Target = "LibTorchSharp";

    private static readonly Lock Gate = new();
    private static nint handle;
    private static bool subscribed;

    /// <summary>The assembly that imports the native library. Naming a type does not run its static constructor.</summary>
    private static Assembly TorchSharp => typeof(TorchSharp.torch).Assembly;

    /// <summary>
    /// Has the runtime ask here whenever it finds no native library for TorchSharp. The event comes after every ordinary way of loading has
    /// failed, and takes any number of handlers, where <see cref="NativeLibrary.SetDllImportResolver"/> takes one and belongs to the
    /// application.
    /// </summary>
    public static void Subscribe()
    {
        lock (Gate)
        {
            if (subscribed)
                return;
            AssemblyLoadContext.GetLoadContext(TorchSharp)!.ResolvingUnmanagedDll +=
                static (assembly, name) => name == Target && assembly == TorchSharp ? TryLoad(new List<string>()) : 0;
            subscribed = true;
        }
    }

    /// <summary>Whether TorchSharp's own loader, which makes the same two calls, will find its libraries.</summary>
    public static bool LoadsOrdinarily()
    {
        _ = NativeLibrary.TryLoad("torch_cpu", TorchSharp, null, out _);
        return NativeLibrary.TryLoad(Target, TorchSharp, null, out _);
    }

    /// <summary>Loads the native library from where it lies, through an edited copy if a symbol version is all that is missing.</summary>
    /// <param name="trace">Receives what was tried, a line each.</param>
    /// <returns>The library's handle, or 0.</returns>
    public static nint TryLoad(ICollection<string> trace)
    {
        if (!OperatingSystem.IsLinux())
            return 0;

        lock (Gate)
        {
            if (handle != 0)
                return handle;

            try
            {
                return handle = Load(trace);
            }
            catch (Exception e)
                when (e
                        is DllNotFoundException
                            or BadImageFormatException
                            or InvalidDataException
                            or InvalidOperationException
                            or IOException
                            or UnauthorizedAccessException)
            {
                trace.Add(e.Message);
                return 0;
            }
        }
    }

    [SupportedOSPlatform("linux")]
    private static nint Load(ICollection<string> trace)
    {
        var library = FindFile("libLibTorchSharp.so", trace);
        var libtorch = FindFile("libtorch_cpu.so", trace);
        if (library is null || libtorch is null)
            return 0;

        // By full path and in the order of their dependencies: afterwards they answer to their sonames, from whichever folder they are
        // asked for.
        foreach (var name in new[] { "libc10.so", "libtorch_cpu.so", "libtorch_cuda.so", "libtorch.so" })
        {
            var path = Path.Combine(Path.GetDirectoryName(libtorch)!, name);
            if (!File.Exists(path))
                continue;
            trace.Add($"Loading {path}");
            _ = NativeLibrary.Load(path);
        }

        trace.Add($"Loading {library}");
        try
        {
            return NativeLibrary.Load(library);
        }
        catch (DllNotFoundException e)
        {
            trace.Add(e.Message);
            return LoadWithout(MissingVersions(e.Message), library, trace);
        }
    }

    [SupportedOSPlatform("linux")]
    private static nint LoadWithout(IReadOnlyCollection<string> versions, string library, ICollection<string> trace)
    {
        var source = File.ReadAllBytes(library);
        var patched = source;
        foreach (var version in versions)
        {
            var elf = ElfVersionNeeds.Parse(patched);
            if (elf.Needs.Any(need => need.Version == version))
                patched = elf.Weaken(version);
        }

        if (ReferenceEquals(patched, source))
            return 0;

        try
        {
            if (PatchedLibraryCache.DefaultFolder is { } folder)
            {
                var path = PatchedLibraryCache.Store(folder, source, patched, "libLibTorchSharp");
                trace.Add($"Loading {path}, a copy that does not insist on {string.Join(", ", versions)}");
                return NativeLibrary.Load(path);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or DllNotFoundException)
        {
            trace.Add(e.Message); // a home that cannot be written to, or is mounted noexec
        }

        var temporary = Directory.CreateTempSubdirectory("moe-ml-");
        try
        {
            var path = PatchedLibraryCache.Store(temporary.FullName, source, patched, "libLibTorchSharp");
            trace.Add($"Loading {path}, a copy that does not insist on {string.Join(", ", versions)}");
            return NativeLibrary.Load(path);
        }
        finally
        {
            temporary.Delete(recursive: true); // the mapping outlives the file
        }
    }

    /// <summary>The symbol versions that the dynamic loader's message names. The words around them depend on the locale.</summary>
    internal static IReadOnlyCollection<string> MissingVersions(string message) =>
        VersionName().Matches(message).Select(match => match.Value).Distinct().ToArray();

    [GeneratedRegex(@"\b[A-Z][A-Z0-9]*_\d+(\.\d+)+\b")]
    private static partial Regex VersionName();

    private static string? FindFile(string name, ICollection<string> trace)
    {
        var found = SearchFolders().Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
        if (found is null)
            trace.Add($"{name} is in none of these folders: {string.Join(", ", SearchFolders())}");
        return found;
    }

    /// <summary>
    /// Where the host or a build may have put native libraries; also where the packages lie, for a script that loads TorchSharp.dll from
    /// its package.
    /// </summary>
    private static IEnumerable<string> SearchFolders()
    {
        var folders = new List<string>();
        if (AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") is string fromHost)
            folders.AddRange(fromHost.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries));

        var roots = new List<string> { AppContext.BaseDirectory };
        if (Path.GetDirectoryName(AssemblyLocation) is { Length: > 0 } beside)
            roots.Add(beside);
        foreach (var root in roots)
        {
            folders.Add(root);
            folders.Add(Path.Combine(root, "runtimes", "linux-x64", "native"));
        }

        return folders.Select(Path.TrimEndingDirectorySeparator).Distinct();
    }

    // Empty in a single-file application, whose native libraries the host's folders name.
    [System.Diagnostics.CodeAnalysis.SuppressMessage("SingleFile", "IL3000", Justification = "An empty location is handled.")]
    private static string AssemblyLocation => TorchSharp.Location;
}
