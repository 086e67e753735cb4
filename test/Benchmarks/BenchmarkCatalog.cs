using Benchmarks.Experts;
using Benchmarks.Frozen;
using Benchmarks.Generalist;
using Benchmarks.Generation;
using Benchmarks.Optimizer;
using Benchmarks.Peer;
using Benchmarks.Scoring;
using Benchmarks.Training;
using Microsoft.ML.MoE.Models;
using static TorchSharp.torch;

namespace Benchmarks;

/// <summary>Every benchmark there is.</summary>
internal static class BenchmarkCatalog
{
    public static IReadOnlyList<BenchmarkDefinition> All { get; } =
    [
        new("experts/moe-vs-dense-fp32", "a dense layer of the same active FLOPs", "float32", Wanted: 1.3, () =>
            new MoeVsDenseBenchmark(ExpertsWork.Standard, ScalarType.Float32)),
        new("experts/moe-vs-dense-bf16", "a dense layer of the same active FLOPs", "bfloat16", Wanted: 0.8, () =>
            new MoeVsDenseBenchmark(ExpertsWork.Standard, ScalarType.BFloat16)),
        new("experts/moe-vs-dense-e64-fp32", "a dense layer of the same active FLOPs", "float32", Wanted: 1.2, () =>
            new MoeVsDenseBenchmark(ExpertsWork.Standard with { Experts = 64 }, ScalarType.Float32)),
        new("experts/moe-vs-dense-e64-bf16", "a dense layer of the same active FLOPs", "bfloat16", Wanted: 0.62, () =>
            new MoeVsDenseBenchmark(ExpertsWork.Standard with { Experts = 64 }, ScalarType.BFloat16)),
        new("experts/moe-vs-naive", "a loop over experts with masks", "float32", Wanted: null, () => new MoeVsNaiveBenchmark()),
        new("experts/bf16-vs-fp32", "the layer in float32", "bfloat16", Wanted: null, () => new BFloat16VsFloat32Benchmark()),
        new("widenet/step-vs-dense-vit", "a ViT of the same active FLOPs", "float32", Wanted: 1, () =>
            new StepBenchmark(WideNetConfig.Small, VisionTransformerConfig.Small, model => new TorchVisionTransformer(model))),
        new("sparsemlp/step-vs-dense-mixer", "a Mixer of the same active FLOPs", "float32", Wanted: 0.85, () =>
            new StepBenchmark(SparseMlpConfig.Small, WiderMixer, model => new TorchMixer(model))),
        new("optimizer/adamw-vs-copy", "a copy of as many bytes", "float32", Wanted: 0.9, () => new AdamWBenchmark()),
        new("optimizer/muon-vs-loop", "matrix by matrix", "float32", Wanted: 2, () => new MuonBenchmark()),
        new(
            "peer/forward-vs-gather",
            "index_select and einsum",
            "float32",
            Wanted: 4,
            () => ForwardBenchmark.VsGather(PeerWork.Million(2048)),
            () => ForwardBenchmark.VsGather(PeerWork.Small)),
        new(
            "peer/forward-vs-embeddingbag",
            "index_select, bmm and EmbeddingBag",
            "float32",
            Wanted: 2,
            () => ForwardBenchmark.VsEmbeddingBag(PeerWork.Million(2048)),
            () => ForwardBenchmark.VsEmbeddingBag(PeerWork.Small)),
        new(
            "peer/step-vs-dense-adam",
            "dense gradients and torch.optim.AdamW",
            "float32",
            Wanted: 60,
            () => VsTorch(PeerWork.Million(512), (layer, work) => new DensePeerStep(layer, work)),
            () => VsTorch(PeerWork.Small, (layer, work) => new DensePeerStep(layer, work))),
        new(
            "peer/step-vs-sparse-torch",
            "sparse gradients and Adam on their rows in torch",
            "float32",
            Wanted: 3,
            () => VsTorch(PeerWork.Million(512), (layer, work) => new SparsePeerStep(layer, work)),
            () => VsTorch(PeerWork.Small, (layer, work) => new SparsePeerStep(layer, work))),
        new(
            "peer/step-1m-vs-262k",
            "the same step with 262,144 experts",
            "float32",
            Wanted: 0.6,
            () => BySize(PeerWork.Million(512), 512 * 512),
            () => BySize(PeerWork.Small, 32 * 32)),
        new(
            "peer/step-1m-vs-16k",
            "the same step with 16,384 experts",
            "float32",
            Wanted: null,
            () => BySize(PeerWork.Million(512), 128 * 128),
            () => BySize(PeerWork.Small, 16 * 16)),
        new(
            "peer/generate-kv-vs-full",
            "reading all tokens anew for each",
            "float32",
            Wanted: null,
            () => new GenerateBenchmark(LanguageModelConfig.Medium),
            () => new GenerateBenchmark(LanguageModelConfig.Nano)),
        new(
            "generalist/merged-vs-dense",
            "the dense encoder",
            "float32",
            Wanted: 0.97,
            () => new MergedVsDenseBenchmark(GeneralistConfig.Base with { VocabularySize = 1000, Blocks = 4 }, images: 4),
            () => new MergedVsDenseBenchmark(GeneralistConfig.Nano, images: 4)),
        new(
            "generalist/merged-vs-unmerged",
            "every token sent to its experts",
            "float32",
            Wanted: 1.5,
            () => new MergedVsUnmergedBenchmark(768, 3072, sequences: 4, length: 197),
            () => new MergedVsUnmergedBenchmark(16, 32, sequences: 2, length: 5)),
        new("scoring/transform-vs-raw-forward", "the model called on tensors", "float32", Wanted: 1.07, () => new TransformBenchmark()),
        new("scoring/engine-vs-raw-forward", "the model called on one image", "float32", Wanted: 0.8, () =>
            new PredictionEngineBenchmark(freeze: null)),
        new("scoring/engine-vs-torch-ops", "the same network in libtorch's operators, on one image", "float32", Wanted: 3, () =>
            new PredictionEngineBenchmark(model => new TorchWideNet(model))),
        new(
            "generation/token-vs-torch-ops",
            "the same network in libtorch's operators",
            "float32",
            Wanted: 2.5,
            () => new TokenBenchmark(new LanguageModelConfig(), tokens: 64),
            () => new TokenBenchmark(new LanguageModelConfig { Width = 32, Heads = 2, Blocks = 3 }, tokens: 32)),
        new("training/small-step-vs-torch-ops", "the same step in libtorch's operators", "float32", Wanted: 1.4, () =>
            new StepBenchmark(SampleNetwork, SampleNetwork, model => new TorchWideNet(model))),
        new("training/fit-vs-raw-loop", "the same steps by hand on tensors", "float32", Wanted: 1.01, () => new FitBenchmark()),
    ];

    // That of samples/FashionMnist.
    private static WideNetConfig SampleNetwork => WideNetConfig.Small with { Blocks = 3, PatchSize = 7 };

    // As wide as it takes for the multiply-adds of the small Sparse-MLP.
    private static MlpMixerConfig WiderMixer => MlpMixerConfig.Small with { ChannelWidth = 464 };

    /// <summary>The benchmarks whose names contain <paramref name="filter"/>; all when it is null.</summary>
    public static IReadOnlyList<BenchmarkDefinition> Select(string? filter) =>
        [.. All.Where(b => filter is null || b.Name.Contains(filter, StringComparison.OrdinalIgnoreCase))];

    private static StepVsTorchBenchmark VsTorch(PeerWork work, Func<Microsoft.ML.MoE.Layers.Peer, PeerWork, IPeerStep> baseline) =>
        new(work, baseline);

    private static StepBySizeBenchmark BySize(PeerWork work, int fewer) => new(work, work with { Experts = fewer });
}
