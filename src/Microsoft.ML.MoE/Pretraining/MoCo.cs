// Contrastive pre-training without labels: MoCo v3 (arXiv 2104.02057, algorithm 1), as Sparse-MLP is pre-trained (arXiv 2109.02008, section
// 3.1).
//
//     q = predictor(projector(f(x)));   k = projectorₘ(fₘ(x)), without gradient
//     loss = ctr(q1, k2) + ctr(q2, k1),   ctr(q, k) = 2τ · CrossEntropy(q̂·k̂ᵀ / τ, the same image)        q̂, k̂ of length 1
//     θₘ <- m θₘ + (1 − m) θ,   m = 1 − (1 − m₀) · (1 + cos(π t/T)) / 2 after update t of T
//
// Axes: N = images of a batch, C = channels, H = height, W = width, O = width of what is compared.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Pretraining;

/// <summary>
/// Trains the backbone of an image classifier to tell images apart from two changed views of each: what <see cref="TrainingLoop{TBatch}"/>
/// trains is <see cref="Module"/>, its loss
/// <see cref="ComputeLoss"/>, and this object is a companion that moves the key encoder after every update. The classifier's head is left
/// as it is. Owns heads and key encoder, not the classifier: dispose it.
/// </summary>
internal sealed class MoCo : ITrainingCompanion, IDisposable
{
    private readonly MoCoOptions options;
    private readonly Generator generator;
    private readonly Device device;
    private readonly MoCoEncoder query;
    private readonly MoCoHead predictor;
    private readonly MoCoEncoder key;
    private readonly TorchSharp.Modules.Parameter[] frozen;
    private readonly (string Name, Tensor Query, Tensor Key)[] followed;
    private readonly Trained module;

    /// <summary>Makes heads and a key encoder with the classifier's weights.</summary>
    /// <param name="classifier">What is trained; stays the caller's.</param>
    /// <param name="options">Views, temperature, momentum, heads.</param>
    /// <param name="generator">Random numbers for the views: a generator of the CPU, which stays the caller's.</param>
    /// <param name="computeType">Type of the key encoder's matrix products, usually the classifier's; float32 by default.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public MoCo(ImageClassifier classifier, MoCoOptions options, Generator generator, ScalarType computeType = ScalarType.Float32)
    {
        ArgumentNullException.ThrowIfNull(classifier);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(generator);
        options.Validate();
        this.options = options;
        this.generator = generator;
        device = classifier.parameters().First().device;

        query = new MoCoEncoder(classifier, options, device);
        predictor = new MoCoHead(options.OutputWidth, options.HiddenWidth, options.OutputWidth, depth: 2, device);
        key = new MoCoEncoder(classifier.Config.Build(device, computeType), options, device);
        module = new Trained(query, predictor);
        foreach (var parameter in key.parameters())
            parameter.requires_grad = false;
        followed = [.. Distinct(query).Zip(Distinct(key), (from, to) => (from.name, (Tensor)from.parameter, (Tensor)to.parameter))];
        Follow(0);

        frozen = options.FreezePatchEmbedding ? [.. query.PatchEmbedding.Where(parameter => parameter.requires_grad)] : [];
        foreach (var parameter in frozen)
            parameter.requires_grad = false;
    }

    /// <summary>What the training changes: the classifier and the two heads of the query side.</summary>
    public nn.Module Module => module;

    /// <inheritdoc/>
    public string Name => "moco";

    /// <summary>The weights of the key encoder, and the statistics of its head.</summary>
    public IReadOnlyDictionary<string, Tensor> State =>
        followed
            .Select(pair => (pair.Name, pair.Key))
            .Concat(key.named_buffers().Select(pair => (pair.name, pair.buffer)))
            .ToDictionary(pair => pair.Item1, pair => pair.Item2);

    /// <summary>
    /// The loss of a batch: views, both encoders, the symmetric contrastive loss; and the balance losses of both views together.
    /// </summary>
    /// <param name="images_NCHW">Normalised images, float32 (N, C, H, W) on any device, at least two: each is the others'
    /// counterexample.</param>
    /// <returns>The loss; its tensors belong to the caller's dispose scope.</returns>
    /// <exception cref="ArgumentException">There are fewer than two images.</exception>
    public StepLoss ComputeLoss(Tensor images_NCHW)
    {
        if (images_NCHW.shape[0] < 2)
            throw new ArgumentException(
                $"The batch has {images_NCHW.shape[0]} image; at least 2 are wanted, since images are told apart from the others of their "
                    + "batch.",
                nameof(images_NCHW));
        using var scope = NewDisposeScope();
        var images = images_NCHW.to(device);
        var views_NCHW = cat([options.FirstView.Apply(images, generator), options.SecondView.Apply(images, generator)], 0);
        key.train(module.training);   // both normalise by their batch

        Tensor key1_NO, key2_NO;
        using (no_grad())
            (key1_NO, key2_NO, _) = key.Project(views_NCHW);
        var (first_NO, second_NO, output) = query.Project(views_NCHW);
        var loss = Contrast(predictor.forward(first_NO), key2_NO, options.Temperature)
            .Plus(Contrast(predictor.forward(second_NO), key1_NO, options.Temperature));
        return new StepLoss(
            loss.MoveToOuterDisposeScope(), output.AuxiliaryLoss.MoveToOuterDisposeScope(), (int)images_NCHW.shape[0],
            output.Routing.Count == 0 ? null : [.. output.Routing.Select(record => record.ExpertCounts_E.MoveToOuterDisposeScope())],
            output.Routing.Count == 0 ? null : stack(output.Routing.Select(record => record.DroppedCount)).MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void AfterUpdate(int update, int totalUpdates) => Follow(MomentumAt(options.KeyMomentum, update, totalUpdates));

    /// <inheritdoc/>
    public void Restore(IReadOnlyDictionary<string, Tensor> state) => NamedTensors.Copy(State, state);

    /// <summary>Frees heads and key encoder. The classifier stays, and its patch embedding can be trained again.</summary>
    public void Dispose()
    {
        foreach (var parameter in frozen)
            parameter.requires_grad = true;
        // Not the modules that hold the parts together: they would dispose the caller's classifier with them.
        query.Projector.Dispose();
        predictor.Dispose();
        key.Dispose();
    }

    /// <summary>ctr(q, k): each query belongs to the key in its row.</summary>
    internal static Tensor Contrast(Tensor query_NO, Tensor key_NO, double temperature)
    {
        using var scope = NewDisposeScope();
        var (q_NO, k_NO) = (nn.functional.normalize(query_NO, dim: 1), nn.functional.normalize(key_NO, dim: 1));
        var similarity_NN = q_NO.matmul(k_NO.T).DividedBy(temperature);
        var same_N = Range(query_NO.shape[0], int64, query_NO.device);
        return nn.functional.cross_entropy(similarity_NN, same_N).Times(2 * temperature).MoveToOuterDisposeScope();
    }

    /// <summary>m after an update.</summary>
    internal static double MomentumAt(double start, int update, int totalUpdates) =>
        1 - ((1 - start) * (1 + Math.Cos(Math.PI * Math.Min(1, (double)update / totalUpdates))) / 2);

    private void Follow(double momentum)
    {
        using var noGrad = no_grad();
        TorchScripts.Lerp([.. followed.Select(pair => pair.Key)], [.. followed.Select(pair => pair.Query)], 1 - momentum);
    }

    private static IEnumerable<(string name, TorchSharp.Modules.Parameter parameter)> Distinct(nn.Module module) =>
        module.named_parameters().DistinctBy(pair => pair.parameter.Handle);

    /// <summary>What has gradients.</summary>
    private sealed class Trained : nn.Module
    {
        private readonly MoCoEncoder encoder;
        private readonly MoCoHead predictor;

        public Trained(MoCoEncoder encoder, MoCoHead predictor) : base(nameof(Trained))
        {
            this.encoder = encoder;
            this.predictor = predictor;
            RegisterComponents();
        }
    }
}
