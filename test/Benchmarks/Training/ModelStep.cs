// Axes: N = images of a batch, C = channels or classes, H = height, W = width.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Training;
using static TorchSharp.torch;

namespace Benchmarks.Training;

/// <summary>A training step as written by hand: forward, loss, backward, clipping, AdamW.</summary>
internal sealed class ModelStep : IDisposable
{
    private readonly TrainingOptions options;
    private readonly double labelSmoothing;
    private readonly FusedAdamW optimizer;

    /// <param name="model">What is trained; the caller's.</param>
    /// <param name="options">Clipping and optimizer.</param>
    /// <param name="labelSmoothing">Of the cross-entropy.</param>
    public ModelStep(ImageClassifier model, TrainingOptions options, double labelSmoothing = 0)
    {
        Model = model;
        this.options = options;
        this.labelSmoothing = labelSmoothing;
        optimizer = new FusedAdamW(
            ParameterGroup.ForModule(model, options.WeightDecay!.Value), options.Beta1, options.Beta2, options.Epsilon);
        model.train();
    }

    public ImageClassifier Model { get; }

    /// <summary>Runs a step and returns the loss before it; the gradients are dropped.</summary>
    public Tensor Run(Tensor images_NCHW, Tensor labels_N, double learningRate)
    {
        var loss = Backward(images_NCHW, labels_N);
        Update(learningRate);
        return loss;
    }

    /// <summary>Computes the gradients and returns the loss.</summary>
    public Tensor Backward(Tensor images_NCHW, Tensor labels_N)
    {
        using var scope = NewDisposeScope();
        var output = Model.call(images_NCHW);
        var loss = nn.functional.cross_entropy(output.Logits_NC, labels_N, label_smoothing: labelSmoothing) + output.AuxiliaryLoss;
        loss.backward();
        return loss.detach().MoveToOuterDisposeScope();
    }

    /// <summary>Updates the weights and drops the gradients.</summary>
    public void Update(double learningRate)
    {
        using var scope = NewDisposeScope();
        var divisor = GradientClipping.Divisor(GradientClipping.Norm(optimizer.Parameters), options.GradientClipNorm!.Value);
        optimizer.Step(learningRate, divisor);
        optimizer.ZeroGrad();
    }

    public void Dispose() => optimizer.Dispose();
}
