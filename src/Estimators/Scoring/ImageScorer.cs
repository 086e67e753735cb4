// From a block of images to class probabilities.
//
// Axes: N = images, C = channels or classes, H = height, W = width.

using Microsoft.ML.MoE.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Runs the model, one forward pass at a time however many threads ask.</summary>
internal sealed class ImageScorer(ImageClassifier model, PixelNormalization normalization, Device device) : IDisposable
{
    private readonly Lock gate = new();
    private bool disposed;

    /// <summary>The model.</summary>
    public ImageClassifier Model => model;

    /// <summary>The normalisation in front of it.</summary>
    public PixelNormalization Normalization => normalization;

    /// <summary>Number of classes.</summary>
    public int ClassCount => model.Config.ClassCount;

    /// <summary>Forward passes so far.</summary>
    public int ForwardCount { get; private set; }

    /// <summary>Scores a block.</summary>
    /// <param name="numbers_NCHW">The images' numbers as the column has them, uint8 or float32, on the CPU.</param>
    /// <returns>Class probabilities, image after image.</returns>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public float[] Score(Tensor numbers_NCHW)
    {
        float[] probabilities = [];
        Use(classifier =>
        {
            ForwardCount++;
            using var noGrad = inference_mode();
            using var scope = NewDisposeScope();
            classifier.eval();
            var output = classifier.forward(normalization.Apply(numbers_NCHW, device));
            var probabilities_NC = output.Logits_NC.softmax(-1).cpu();
            probabilities = probabilities_NC.data<float>().ToArray();
        });
        return probabilities;
    }

    /// <summary>Does something with the model while nobody else does.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public void Use(Action<ImageClassifier> action)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, typeof(ImageClassificationTransformer));
            action(model);
        }
    }

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
                return;
            disposed = true;
            model.Dispose();
        }
    }
}
