namespace Microsoft.ML.MoE.Runtime;

/// <summary>Files of which nobody ever finds a half.</summary>
internal static class AtomicFile
{
    /// <summary>What the name of a file that is being written ends with.</summary>
    public const string Suffix = ".tmp";

    /// <summary>Writes a file under a temporary name and then gives it its own; a file of that name stays until then.</summary>
    /// <param name="path">The file.</param>
    /// <param name="write">Writes to the path that it is given.</param>
    public static void Write(string path, Action<string> write)
    {
        var temporary = path + Suffix;
        try
        {
            write(temporary);
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            if (File.Exists(temporary))
                File.Delete(temporary);   // a disk that is full should not stay so
            throw;
        }
    }
}
