using Microsoft.ML.MoE.Training;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What a training has besides its module, loss and batches; see <see cref="TrainingLoop{TBatch}"/>.</summary>
internal sealed record LoopParts
{
    /// <summary>What acts after every update.</summary>
    public IReadOnlyList<ITrainingCompanion> Companions { get; init; } = [];

    /// <summary>What the learning rate of a parameter is multiplied by.</summary>
    public Func<string, double> LearningRateScale { get; init; } = _ => 1;

    /// <summary>Generators that training draws from besides libtorch's own.</summary>
    public IReadOnlyDictionary<string, torch.Generator> Generators { get; init; } = new Dictionary<string, torch.Generator>();
}
