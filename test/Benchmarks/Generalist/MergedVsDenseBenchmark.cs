// Axes: N = images, C = channels, H = height, W = width, D = model width, L = tokens, E = experts, I = inputs, O = outputs.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Generalist;

/// <summary>Encoding images with a routed encoder whose experts are merged, against the dense encoder. All experts of a layer are the dense layer here, so that both must give the same.</summary>
internal sealed class MergedVsDenseBenchmark : IBenchmark
{
    private static readonly TokenRole Role = AttributeTable.Create(StandardRole.ClassifiedPicture, "images", TokenModality.Image);

    private readonly Microsoft.ML.MoE.Models.Generalist routed;
    private readonly Microsoft.ML.MoE.Models.Generalist dense;
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
        images_NCHW = randn(images, config.Channels, config.ImageHeight, config.ImageWidth).DetachFromDisposeScope();
    }

    public void Ours() => Run(routed, merged, _ => { });

    public void Baseline() => Run(dense, null, _ => { });

    public void Check()
    {
        var (expected, actual) = (new float[1], new float[1]);
        Run(dense, null, states => expected = states.contiguous().data<float>().ToArray());
        Run(routed, merged, states => actual = states.contiguous().data<float>().ToArray());
        var excess = expected.Zip(actual).Max(pair => Math.Abs(pair.First - pair.Second) / (1 + Math.Abs(pair.First)));
        if (!(excess <= 1e-4))
            throw new BenchmarkCheckException(
                $"The representations differ by {excess:g3}, relative to 1 + their size; at most 1e-4 is wanted.");
    }

    public void Dispose()
    {
        merged.Dispose();
        routed.Dispose();
        dense.Dispose();
        images_NCHW.Dispose();
    }

    private void Run(Microsoft.ML.MoE.Models.Generalist model, MergedExperts? kept, Action<Tensor> read)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        read(model.Encode(model.EmbedImages(images_NCHW, Role), kept).States_NLD);
    }

    // A dense weight is (O, I), those of experts are (E, I, O); biases are (O) and (E, O).
    private static Tensor Expanded(Tensor dense) => (dense.dim() == 2 ? dense.transpose(0, 1) : dense).unsqueeze(0);
}
