namespace Microsoft.ML.MoE.Training;

/// <summary>Where a training stands.</summary>
internal sealed class TrainingPosition
{
    /// <summary>The epochs done.</summary>
    public List<EpochSummary> Epochs { get; } = [];

    /// <summary>Batches done of the epoch that comes after those.</summary>
    public int Batches { get; set; }

    /// <summary>Updates done.</summary>
    public int Steps { get; set; }

    /// <summary>Learning rate of the last update.</summary>
    public double LearningRate { get; set; }

    /// <summary>Whether a batch was begun and not ended: random numbers were drawn for it, so that nothing can go on from here.</summary>
    public bool WithinBatch { get; set; }
}
