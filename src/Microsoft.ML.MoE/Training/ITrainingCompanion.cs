using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// Something that acts after every update of a training and has a state that belongs in its checkpoints: an average of the weights over
/// time, an encoder that follows another.
/// </summary>
internal interface ITrainingCompanion
{
    /// <summary>
    /// What the state is called in checkpoints: unique among the companions of a training, without a slash, and not "average", which is
    /// that of <see cref="TrainingOptions.EmaDecay"/>.
    /// </summary>
    string Name { get; }

    /// <summary>What a checkpoint keeps, by name: the companion's own tensors, not copies.</summary>
    IReadOnlyDictionary<string, Tensor> State { get; }

    /// <summary>Takes a state over, by copying.</summary>
    /// <param name="state">What <see cref="State"/> of a companion of the same kind was; on any device, not disposed.</param>
    /// <exception cref="InvalidDataException">A tensor is missing, unknown, or has another shape or type; the message names it. Nothing was
    /// changed.</exception>
    void Restore(IReadOnlyDictionary<string, Tensor> state);

    /// <summary>Acts after an update, within a dispose scope of the caller. Must not wait for the device.</summary>
    /// <param name="update">The update that was made, from 1.</param>
    /// <param name="totalUpdates">Updates that the training will take, unless it stops early.</param>
    void AfterUpdate(int update, int totalUpdates);
}
