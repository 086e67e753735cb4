using System.Globalization;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What an <see cref="MLContext"/> decides for a model: read here and nowhere else.</summary>
internal static class EnvironmentSettings
{
    /// <summary>The device of <see cref="MLContext.GpuDeviceId"/> and <see cref="MLContext.FallbackToCpu"/>.</summary>
    /// <exception cref="InvalidOperationException">There is no such device, or libtorch cannot be loaded.</exception>
    public static torch.Device SelectDevice(this IHostEnvironment environment)
    {
        var settings = environment as IHostEnvironmentInternal;
        try
        {
            return DeviceSelection.Select(settings?.GpuDeviceId, settings?.FallbackToCpu ?? true);
        }
        catch (InvalidOperationException exception)
        {
            throw environment.Except(exception, exception.Message);   // marked, so that the message comes out of a model load too
        }
    }

    /// <summary>
    /// The seed: the option's, else the context's, else that of the training that is continued, else a new one for each call.
    /// </summary>
    public static int SelectSeed(this IHost host, int? option, TrainingState? continued)
    {
        var earlier = continued?.Identity.GetValueOrDefault(nameof(TrainerOptions.Seed));
        return option
            ?? (host as IHostEnvironmentInternal)?.Seed
            ?? (earlier is null ? null : (int?)int.Parse(earlier, CultureInfo.InvariantCulture))
            ?? Random.Shared.Next();
    }
}
