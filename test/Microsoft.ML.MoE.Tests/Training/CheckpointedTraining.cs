using System.Security.Cryptography;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>
/// A training with everything that a checkpoint has to keep: router noise and dropout from the global generator, augmentation from one of
/// its own, batch normalisation, accumulated gradients, an average of the weights, validation with the best weights kept, a learning rate
/// that changes. Two epochs and a half of eight batches.
/// </summary>
internal sealed class CheckpointedTraining : IDisposable
{
    public const int BatchesPerEpoch = 8;

    private readonly Generator generator = new(5);
    private readonly TrainingOptions options;

    public CheckpointedTraining(TrainingOptions options)
    {
        this.options = options;
        random.manual_seed(3).Dispose();
        Model = new WideNet(WideNetConfig.Tiny with { Dropout = 0.1 });
        Loop = new TrainingLoop<int>(Model, Loss, options)
        {
            Generators = new Dictionary<string, Generator> { ["augmentation"] = generator },
            Warn = Warnings.Add,
            Companions = [Companion = new(Model)],
        };
    }

    public static TrainingOptions Options { get; } = new()
    {
        Epochs = 3,
        MaxSteps = 8,   // three an epoch, the third of two batches
        GradientAccumulation = 3,
        LearningRate = 5e-3,
        EmaDecay = 0.9,
        ProgressInterval = 2,
    };

    public WideNet Model { get; }

    public TrainingLoop<int> Loop { get; private set; }

    public CountingCompanion Companion { get; }

    public List<string> Warnings { get; } = [];

    /// <summary>Called in the middle of every batch.</summary>
    public Action WithinBatch { get; set; } = () => { };

    /// <summary>Called in the middle of every validation.</summary>
    public Action WithinValidation { get; set; } = () => { };

    public int BatchesDone { get; private set; }

    public TrainingResult Run(Action<TrainingProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Loop.Run(new NumberedBatches(BatchesPerEpoch), Validate, progress, cancellationToken);

    /// <summary>Whether all weights are the same, to the bit.</summary>
    public string Hash()
    {
        using var scope = NewDisposeScope();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var parameter in Model.parameters())
            hash.AppendData(parameter.bytes);
        return Convert.ToHexString(hash.GetHashAndReset());
    }

    /// <summary>What a result says, but for the times.</summary>
    public static string Describe(TrainingResult result) =>
        string.Join(
            '\n',
            result.Epochs.Select(epoch =>
                $"{epoch.Epoch} {epoch.Averages.Steps} {epoch.Averages.Samples} {epoch.Averages.Loss:R} {epoch.Averages.AuxiliaryLoss:R} "
                    + $"{epoch.Averages.GradientNorm:R} {epoch.LearningRate:R} {epoch.Validation} "
                + string.Join(' ', epoch.Averages.ExpertLoad!.Select(load => $"{string.Join(',', load.Counts)};{load.Dropped}")))
        ) + $"\n{result.Steps} {result.StopReason} {result.BestEpoch?.Epoch} {result.BestWeightsRestored}";

    public void Dispose()
    {
        Model.Dispose();
        generator.Dispose();
        Companion.Dispose();
    }

    private StepLoss Loss(int number)
    {
        using var scope = NewDisposeScope();
        var labels_N = (arange(6, dtype: int64) + number) % Model.Config.ClassCount;
        var noise_NCHW = randn([6, Model.Config.Channels, Model.Config.ImageHeight, Model.Config.ImageWidth], generator: generator);
        var output = Model.call(noise_NCHW + labels_N.view(-1, 1, 1, 1));
        WithinBatch();
        BatchesDone++;
        return new(
            nn.functional.cross_entropy(output.Logits_NC, labels_N).MoveToOuterDisposeScope(),
            output.AuxiliaryLoss.MoveToOuterDisposeScope(),
            6,
            [.. output.Routing.Select(record => record.ExpertCounts_E.MoveToOuterDisposeScope())],
            stack(output.Routing.Select(record => record.DroppedCount)).MoveToOuterDisposeScope());
    }

    private ValidationResult Validate(CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        rand(10).Dispose();   // a validation that draws random numbers must not disturb a training that was cancelled in it
        WithinValidation();
        cancellationToken.ThrowIfCancellationRequested();
        Model.eval();
        var labels_N = arange(8, dtype: int64) % Model.Config.ClassCount;
        var logits_NC = Model
            .call(ones(8, Model.Config.Channels, Model.Config.ImageHeight, Model.Config.ImageWidth) * labels_N.view(-1, 1, 1, 1))
            .Logits_NC;
        return new(
            logits_NC.argmax(1).eq(labels_N).sum().item<long>() / 8.0,
            nn.functional.cross_entropy(logits_NC, labels_N).item<float>(),
            "Accuracy",
            true);
    }

    /// <summary>A companion with a state: the sum of all weights after every update.</summary>
    public sealed class CountingCompanion(WideNet model) : ITrainingCompanion, IDisposable
    {
        private readonly Tensor sum = zeros([], float64).DetachFromDisposeScope();

        public string Name => "sum";

        public double Sum => sum.item<double>();

        public IReadOnlyDictionary<string, Tensor> State => new Dictionary<string, Tensor> { ["sum"] = sum };

        public void Restore(IReadOnlyDictionary<string, Tensor> state) => sum.copy_(state["sum"]);

        public void AfterUpdate(int update, int totalUpdates)
        {
            using var _ = no_grad();
            foreach (var parameter in model.parameters())
                sum.add_(parameter.sum());
        }

        public void Dispose() => sum.Dispose();
    }
}
