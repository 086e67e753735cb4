using System.Diagnostics;

namespace Samples;

/// <summary>Starts a program again, the way it was started itself.</summary>
internal static class SameProgram
{
    /// <summary>How to start it.</summary>
    /// <param name="processPath">The file of the running process: the program's own executable, or <c>dotnet</c> where it was started as
    /// <c>dotnet NAME.dll</c>.</param>
    /// <param name="assemblyPath">The program's assembly.</param>
    /// <param name="arguments">Its arguments.</param>
    public static ProcessStartInfo With(string processPath, string assemblyPath, params string[] arguments) =>
        Path.GetFileNameWithoutExtension(processPath).Equals("dotnet", StringComparison.OrdinalIgnoreCase)
            ? new ProcessStartInfo(processPath, [assemblyPath, .. arguments])
            : new ProcessStartInfo(processPath, arguments);
}
