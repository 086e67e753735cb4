using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Training;
using TorchSharp;

namespace Microsoft.ML.MoE.Tests.Runtime;

/// <summary>
/// What a process does first decides how libtorch loads, so those tests need fresh processes: the test executable, started again with a
/// scenario to play instead of running tests.
/// </summary>
internal static partial class ChildProcess
{
    private const string Variable = "MOE_ML_TEST_SCENARIO";
    private const string Huge = "THP_MEM_ALLOC_ENABLE";

    /// <summary>Plays a scenario in a new process and returns what it printed.</summary>
    /// <param name="scenario">The name of one of the scenarios below.</param>
    /// <param name="environment">Variables to set, or with null to remove, in the new process.</param>
    /// <param name="folder">Where the test executable's files lie; null for this process's own.</param>
    public static async Task<string> Run(string scenario, (string Name, string? Value)[] environment, string? folder = null)
    {
        using var process = Process.Start(StartInfo(scenario, environment, folder))!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (await output + await error).Trim();
    }

    /// <summary>
    /// Plays a scenario in a new process and kills it, if it has not ended by itself, some time after it has printed some lines.
    /// </summary>
    /// <param name="scenario">The name of one of the scenarios below.</param>
    /// <param name="environment">Variables to set.</param>
    /// <param name="stopAfter">What the lines that count begin with; null to let the process end.</param>
    /// <param name="lines">How many such lines.</param>
    /// <param name="delay">How long after the last of them.</param>
    /// <returns>What it printed until then.</returns>
    public static async Task<string> RunUntil(
        string scenario, (string Name, string? Value)[] environment, string? stopAfter, int lines, TimeSpan delay)
    {
        using var process = Process.Start(StartInfo(scenario, environment, folder: null))!;
        var (output, error) = (new StringBuilder(), process.StandardError.ReadToEndAsync());
        while (await process.StandardOutput.ReadLineAsync() is { } line)
        {
            _ = output.AppendLine(line);
            if (stopAfter is not null && line.StartsWith(stopAfter, StringComparison.Ordinal) && --lines == 0)
            {
                await Task.Delay(delay);
                process.Kill();
            }
        }
        await process.WaitForExitAsync();
        return output + await error;
    }

    private static ProcessStartInfo StartInfo(string scenario, (string Name, string? Value)[] environment, string? folder)
    {
        var assembly = Path.Combine(folder ?? AppContext.BaseDirectory, Path.GetFileName(typeof(ChildProcess).Assembly.Location));
        var start = new ProcessStartInfo("dotnet", ["exec", assembly]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment[Variable] = scenario;
        start.Environment.Remove(Huge); // this process may have set it
        foreach (var (name, value) in environment)
        {
            if (value is null)
                _ = start.Environment.Remove(name);
            else
                start.Environment[name] = value;
        }
        return start;
    }

    [ModuleInitializer]
    internal static void Play()
    {
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } scenario)
            return;

        try
        {
            Console.WriteLine(
                scenario switch
                {
                    "torch alone" => Multiply(),
                    "initialize, torch" => Initialize() + Multiply(),
                    "ours, torch" => TouchOurs() + Multiply(),
                    "resolver, initialize, torch" => SetResolver() + Initialize() + Multiply(),
                    "huge pages" => TouchOurs() + (GetEnvironmentVariable(Huge) ?? "unset"),
                    "spin count" => TouchOurs() + (GetEnvironmentVariable("GOMP_SPINCOUNT") ?? "unset"),
                    "huge pages, switched off" => SwitchOff() + TouchOurs() + (GetEnvironmentVariable(Huge) ?? "unset"),
                    "huge pages, set by the program" => SetManaged("no") + TouchOurs() + (GetEnvironmentVariable(Huge) ?? "unset"),
                    "released memory" => Initialize() + ReleaseMemory(10, always: true),
                    "released memory, if most is free" => Initialize() + ReleaseMemory(40, always: false),
                    "released memory, if most is free, and little is" => Initialize() + ReleaseMemory(10, always: false),
                    "training with checkpoints" => TrainingCheckpointTests.TrainInChild(
                        Environment.GetEnvironmentVariable("MOE_ML_TEST_FOLDER")!),
                    _ => $"There is no scenario '{scenario}'.",
                }
            );
        }
        catch (Exception e)
        {
            Console.WriteLine($"{e.GetType().Name}: {e.Message}");
        }

        Environment.Exit(0);
    }

    // Each step is a method of its own, so that compiling the caller touches nothing.

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string Multiply()
    {
        using var scope = torch.NewDisposeScope();
        return torch.full([2, 2], 3f).mm(torch.full([2, 2], 2f)).sum().item<float>() == 48 ? "multiplied" : "wrong product";
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string Initialize()
    {
        TorchRuntime.Initialize();
        return "";
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string TouchOurs()
    {
        new ThreadScope(null).Dispose();
        return "";
    }

    /// <summary>
    /// Tensors of 40 MB, then a small one that lives on; prints the megabytes resident before, with all, after freeing the large ones
    /// and after the release.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string ReleaseMemory(int tensors, bool always)
    {
        var before = ResidentMegabytes();
        var large = Enumerable.Range(0, tensors).Select(_ => torch.ones(10 << 20)).ToArray();
        using var above = torch.ones(1000);
        var full = ResidentMegabytes();
        foreach (var tensor in large)
            tensor.Dispose();
        var freed = ResidentMegabytes();
        if (always)
            TorchRuntime.ReleaseFreedMemory();
        else
            ProcessTuning.ReleaseFreedMemoryIfMostIsFree();
        return $"{before} {full} {freed} {ResidentMegabytes()} {above.sum().item<float>()}";

        static long ResidentMegabytes() =>
            long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize >> 20;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string SetResolver()
    {
        NativeLibrary.SetDllImportResolver(typeof(torch).Assembly, static (_, _, _) => 0);
        return "";
    }

    private static string SwitchOff()
    {
        AppContext.SetSwitch("Microsoft.ML.MoE.TuneProcess", false);
        return "";
    }

    private static string SetManaged(string value)
    {
        Environment.SetEnvironmentVariable(Huge, value);
        return "";
    }

    /// <summary>The variable as native code sees it.</summary>
    private static string? GetEnvironmentVariable(string name) => Marshal.PtrToStringUTF8(GetEnv(name));

    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint GetEnv(string name);
}
