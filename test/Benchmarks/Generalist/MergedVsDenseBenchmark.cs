// Axes: N = images, C = channels, H = height, W = width, D = model width, L = tokens, E = experts, I = inputs, O = outputs.

using Benchmarks.Frozen;
using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Generalist;

/// <summary>
/// Encoding images with a routed encoder whose experts are merged, against the dense encoder in libtorch's operators. All experts of a
/// layer are the dense layer here, so that both must give the same.
/// </summary>
internal sealed class MergedVsDenseBenchmark : IBenchmark
{
    private static readonly TokenRole Role = AttributeTable.Create(StandardRole.ClassifiedPicture, "images", TokenModality.Image);

    private readonly Microsoft.ML.MoE.Models.Generalist routed;
    private readonly Microsoft.ML.MoE.Models.Generalist dense;
    private readonly TorchGeneralistEncoder frozen;
    private readonly MergedExperts merged = new();
    private readonly Tensor images_NCHW;

    /// <param name="config">The routed model.</param>
    /// <param name="images">Images of a batch.</param>
    public MergedVsDenseBenchmark(GeneralistConfig config, int images)
    {
        using var seed = new SeedScope(1, CPU);
        routed = config.Build();
        dense = (config with { Block = config.Block with { Experts = null } }).Build();
        routed.eval();
        dense.eval();
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var theirs = dense.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter);
        foreach (var (name, parameter) in routed.named_parameters())
        {
            if (theirs.TryGetValue(name, out var same))
                parameter.copy_(same);
            else if (name.Contains(".experts.", StringComparison.Ordinal))
                parameter.copy_(Expanded(theirs[name.Replace(".experts.", ".dense.", StringComparison.Ordinal)]));
        }
        frozen = new TorchGeneralistEncoder(dense);
        images_NCHW = randn(images, config.Channels, config.ImageHeight, config.ImageWidth).DetachFromDisposeScope();
    }

    /// <summary>An image's multiply-adds for each, and the weights of one merged or dense model, read once.</summary>
    public BenchmarkWork? Work =>
        new(
            (double)images_NCHW.shape[0] * dense.Config.GetCost().ForwardMacs,
            dense.named_parameters().Where(pair => pair.name.StartsWith("blocks.", StringComparison.Ordinal))
                .Sum(pair => (double)sizeof(float) * pair.parameter.numel()));

    public void Ours() => Run(() => Encode(routed, merged), _ => { });

    public void Baseline() => Run(() => frozen.Encode(images_NCHW), _ => { });

    public void Check()
    {
        Compare("routed encoder", () => Encode(routed, merged));
        Compare("library's dense encoder", () => Encode(dense, null));
    }

    private void Compare(string what, Func<Tensor> encode)
    {
        var (expected, actual) = (new float[1], new float[1]);
        Run(() => frozen.Encode(images_NCHW), states => expected = states.contiguous().data<float>().ToArray());
        Run(encode, states => actual = states.contiguous().data<float>().ToArray());
        var excess = expected.Zip(actual).Max(pair => Math.Abs(pair.First - pair.Second) / (1 + Math.Abs(pair.First)));
        if (!(excess <= 1e-4))
            throw new BenchmarkCheckException(
                $"The {what}'s representations differ from the baseline's by {excess:g3}, relative to 1 + their size; at most 1e-4 is "
                    + "wanted.");
    }

    public void Dispose()
    {
        merged.Dispose();
        routed.Dispose();
        dense.Dispose();
        frozen.Dispose();
        images_NCHW.Dispose();
    }

    private Tensor Encode(Microsoft.ML.MoE.Models.Generalist model, MergedExperts? kept) =>
        model.Encode(model.EmbedImages(images_NCHW, Role), kept).States_NLD;

    private static void Run(Func<Tensor> encode, Action<Tensor> read)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        read(encode());
    }

    // A dense weight is (O, I), those of experts are (E, I, O); biases are (O) and (E, O).
    private static Tensor Expanded(Tensor dense) => (dense.dim() == 2 ? dense.transpose(0, 1) : dense).unsqueeze(0);
}
