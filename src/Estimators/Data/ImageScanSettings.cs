using Microsoft.ML.MoE.Augmentation;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What an <see cref="ImageScan"/> keeps and finds out.</summary>
internal sealed record ImageScanSettings
{
    /// <summary>Bytes that decoded images may take; 0 never caches.</summary>
    public required long CacheLimit { get; init; }

    /// <summary>Size of the shuffle pool for images that are not cached.</summary>
    public required int PoolSize { get; init; }

    /// <summary>Whether it finds out what the examples are, for checkpoints.</summary>
    public bool Fingerprints { get; init; }

    /// <summary>Whether a part of the examples will be set apart.</summary>
    public bool Splits { get; init; }

    /// <summary>Threads that decode pictures, at most. Default 1.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>What is cut out of the images that are trained on; null (default) for nothing.</summary>
    public RandomResizedCrop? Crop { get; init; }
}
