using System.CommandLine;
using System.Text.Json;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;

namespace Benchmarks.Device;

/// <summary>The command that measures the models on a GPU.</summary>
internal static class DeviceCommand
{
    public static Command Create(Option<FileInfo?> json)
    {
        var rehearse = new Option<bool>("--rehearse") { Description = "The same at sizes of a moment, on the CPU where there is no GPU." };
        var command = new Command("device", "Measures the models on a CUDA device at the papers' sizes.") { json, rehearse };
        command.SetAction(line => Run(line.GetValue(json), line.GetValue(rehearse)));
        return command;
    }

    private static int Run(FileInfo? jsonFile, bool rehearse)
    {
        TorchRuntime.Initialize();
        if (!torch.cuda.is_available() && !rehearse)
        {
            Console.Error.WriteLine(
                "torch sees no CUDA device: run this on a machine that has one, built with -p:TorchBackend=cuda-linux or cuda-windows; "
                    + "--rehearse tries everything at small sizes on the CPU.");
            return 2;
        }

        var device = torch.cuda.is_available() ? torch.CUDA : torch.CPU;
        Console.WriteLine(MachineDescription.Describe());
        Console.WriteLine($"device     {device}");
        Console.WriteLine();
        Console.WriteLine($"{"work",-40} {"ms",10} {"TFLOP/s",9} {"items/s",12}");
        var report = new DeviceMeasurement(device, rehearse ? DeviceSizes.Rehearsal : DeviceSizes.Full).Run(figure =>
            Console.WriteLine(
                figure.Error is { } error
                    ? $"{figure.Name,-40} did not run: {error}"
                    : $"{figure.Name,-40} {figure.Milliseconds,10:F3} {figure.TeraFlops,9:F3} {figure.ItemsPerSecond,12:N0} {figure.Items}"));
        if (jsonFile is not null)
            File.WriteAllText(jsonFile.FullName, JsonSerializer.Serialize(report, JsonFormat.Options) + "\n");
        return report.Figures.Any(figure => figure.Error is not null) ? 1 : 0;
    }
}
