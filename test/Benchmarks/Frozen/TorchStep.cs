// Axes: N = images of a batch, C = channels, H = height, W = width.

using Microsoft.ML.MoE.Training;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>A training step in libtorch's operators: forward, loss, backward, clipping, AdamW.</summary>
internal sealed class TorchStep : IDisposable
{
    private readonly TorchAdamW optimizer;

    /// <param name="model">What is trained; disposed with this.</param>
    /// <param name="options">Clipping and optimizer.</param>
    public TorchStep(ITorchClassifier model, TrainingOptions options)
    {
        Model = model;
        optimizer = new TorchAdamW(
            model.Weights,
            options.WeightDecay!.Value,
            (options.Beta1, options.Beta2, options.Epsilon),
            options.GradientClipNorm!.Value);
    }

    public ITorchClassifier Model { get; }

    /// <summary>Computes the gradients and returns the loss.</summary>
    public Tensor Backward(Tensor images_NCHW, Tensor labels_N)
    {
        using var scope = NewDisposeScope();
        var (logits_NC, auxiliary) = Model.Forward(images_NCHW, training: true);
        var loss = nn.functional.cross_entropy(logits_NC, labels_N);
        if (auxiliary is not null)
            loss = loss.Plus(auxiliary);
        loss.backward();
        return loss.detach().MoveToOuterDisposeScope();
    }

    /// <summary>Updates the weights and drops the gradients.</summary>
    public void Update(double learningRate) => optimizer.Step(learningRate);

    /// <summary>Runs a step and returns the loss before it.</summary>
    public Tensor Run(Tensor images_NCHW, Tensor labels_N, double learningRate)
    {
        var loss = Backward(images_NCHW, labels_N);
        Update(learningRate);
        return loss;
    }

    public void Dispose()
    {
        optimizer.Dispose();
        Model.Dispose();
    }
}
