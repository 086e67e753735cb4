// From a block of images to class probabilities and embeddings.
//
// Axes: N = images, C = channels or classes, H = height, W = width, D = model width.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Owns the model and runs it: by its plan, as many threads at a time as ask; else one forward pass at a time.</summary>
internal sealed class ImageScorer : IDisposable
{
    private readonly Lock gate = new();
    private readonly Device device;
    private readonly PlanKeeper<ImageClassifierPlan> plans;
    private int forwards;
    private volatile bool disposed;

    public ImageScorer(
        ImageClassifier model, PixelNormalization normalization, Device device, ScoringViews views = ScoringViews.One)
    {
        Views = views;
        this.device = device;
        Model = model;
        plans = new(
            gate,
            model,
            () => device.type == DeviceType.CPU ? model.CreatePlan() : null,
            () => ObjectDisposedException.ThrowIf(disposed, typeof(ImageClassificationTransformer)));
        Normalization = normalization;
        Watch = new PixelWatch(normalization);
        model.eval();   // a caller of the model itself gets what scoring gets, without dropout and router noise

        // The caller may be inside a dispose scope of its own, which would take the weights with it.
        foreach (var tensor in model.parameters().Concat(model.buffers()))
            tensor.DetachFromDisposeScope();
    }

    /// <summary>The model.</summary>
    public ImageClassifier Model { get; }

    /// <summary>The normalisation in front of it.</summary>
    public PixelNormalization Normalization { get; }

    /// <summary>Tells whether what is scored has pixels like those.</summary>
    public PixelWatch Watch { get; }

    /// <summary>The views of an image that are scored together.</summary>
    public ScoringViews Views { get; }

    /// <summary>Number of classes.</summary>
    public int ClassCount => Model.Config.ClassCount;

    /// <summary>Width of an embedding.</summary>
    public int FeatureWidth => Model.Config.FeatureWidth;

    /// <summary>Forward passes so far, by the model or by its plan.</summary>
    public int ForwardCount => Volatile.Read(ref forwards);

    /// <summary>The model for somebody who may change it.</summary>
    public ImageClassifier LendModel()
    {
        if (!disposed)
            plans.Lend();
        return Model;
    }

    /// <summary>
    /// Scores a block. By its plan any number of threads do so at a time; else, on a GPU or in bfloat16, one after the other.
    /// </summary>
    /// <param name="images">The images.</param>
    /// <param name="count">How many of the buffer, at least 1.</param>
    /// <param name="withEmbeddings">Whether the embeddings are wanted too.</param>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public ImageScores Score(ImageBuffer images, int count, bool withEmbeddings)
    {
        ObjectDisposedException.ThrowIf(disposed, typeof(ImageClassificationTransformer));
        if (plans.Get() is { } plan)
            return Score(plan, images, count, withEmbeddings);
        ImageScores? scores = null;
        using var numbers_NCHW = images.First(count);
        Run(numbers_NCHW, Views.Count(), (classifier, images_NCHW) =>
        {
            var (logits_NC, features_ND) = Views.Average(classifier, images_NCHW);
            scores = new(Read(logits_NC.softmax(-1)), withEmbeddings ? Read(features_ND) : []);
        });
        return scores!;

        static float[] Read(Tensor rows) => rows.cpu().data<float>().ToArray();
    }

    /// <summary>Runs the model on a block, on one view of each image.</summary>
    /// <param name="numbers_NCHW">The images' numbers as the column has them, uint8 or float32, on the CPU.</param>
    /// <param name="read">Takes what is wanted out of the output, whose tensors are gone afterwards.</param>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public void Forward(Tensor numbers_NCHW, Action<ImageClassifierOutput> read) =>
        Run(numbers_NCHW, forwards: 1, (classifier, images_NCHW) => read(classifier.forward(images_NCHW)));

    private void Run(Tensor numbers_NCHW, int forwards, Action<ImageClassifier, Tensor> run) => Use(classifier =>
    {
        Interlocked.Add(ref this.forwards, forwards);
        using var noGrad = inference_mode();
        using var scope = NewDisposeScope();
        classifier.eval();
        run(classifier, Normalization.Apply(numbers_NCHW, device));
    });

    /// <summary>Does something with the model while nobody else does.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public void Use(Action<ImageClassifier> action)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, typeof(ImageClassificationTransformer));
            action(Model);
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
            plans.Dispose();
            Model.Dispose();
            TorchRuntime.ReleaseFreedMemory();
        }
    }

    private unsafe ImageScores Score(ImageClassifierPlan plan, ImageBuffer images, int count, bool withEmbeddings)
    {
        var views = Views.Each();
        Interlocked.Add(ref forwards, views.Count);
        var scores = Score(plan, images, count, withEmbeddings, views[0]);
        if (views.Count > 1)
        {
            var (logits, features) = (new double[scores.Probabilities.Length], new double[scores.Embeddings.Length]);
            foreach (var view in views)
            {
                var of = view == views[0] ? scores : Score(plan, images, count, withEmbeddings, view);
                Add(of.Probabilities, view.Weight, logits);
                Add(of.Embeddings, view.Weight, features);
            }
            scores = new(Array.ConvertAll(logits, sum => (float)sum), Array.ConvertAll(features, sum => (float)sum));
        }
        fixed (float* probabilities = scores.Probabilities)
        {
            for (var image = 0; image < count; image++)
                Softmax.Apply(probabilities + (image * ClassCount), ClassCount);
        }
        return scores;
    }

    // What a view says, before the softmax.
    private unsafe ImageScores Score(ImageClassifierPlan plan, ImageBuffer images, int count, bool withEmbeddings, ScoringView view)
    {
        var (channels, height, width) = (Model.Config.Channels, Model.Config.ImageHeight, Model.Config.ImageWidth);
        var scores = new ImageScores(new float[count * ClassCount], withEmbeddings ? new float[count * FeatureWidth] : []);
        fixed (float* logits = scores.Probabilities, embeddings = scores.Embeddings)
        {
            plan.Run(
                count,
                (first, some, target) =>
                {
                    Normalization.Write(images.Address(first), images.NumberType, some, height * width, target);
                    view.Apply(new(target, checked(some * channels * height * width)), height, width);
                },
                logits,
                embeddings);   // null for none
        }
        GC.KeepAlive(images);
        return scores;
    }

    private static void Add(float[] numbers, double weight, double[] sums)
    {
        for (var i = 0; i < numbers.Length; i++)
            sums[i] += weight * numbers[i];
    }
}
