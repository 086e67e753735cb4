using Benchmarks.Experts;
using Benchmarks.Peer;
using Microsoft.ML.MoE.Models;

namespace Benchmarks.Device;

/// <summary>What is measured on a device.</summary>
/// <param name="Name">For the report.</param>
/// <param name="Mixtures">Sparse layers, forward and backward, and dense ones of as many multiply-adds.</param>
/// <param name="Peers">PEER layers, whole training steps.</param>
/// <param name="Classifier">An image classifier, whole training steps and scoring.</param>
/// <param name="Images">Images of its batches.</param>
internal sealed record DeviceSizes(
    string Name, IReadOnlyList<ExpertsWork> Mixtures, IReadOnlyList<PeerWork> Peers, WideNetConfig Classifier, int Images)
{
    /// <summary>
    /// V-MoE's layers of sizes B and L (arXiv 2106.05974, table 8: 32 experts, two a token) on the tokens of 256 images; PEER with a
    /// million experts; WideNet-B at 224×224 pixels.
    /// </summary>
    public static DeviceSizes Full { get; } = new(
        "full",
        [
            new(Tokens: 256 * 196, Width: 768, HiddenWidth: 3072, Experts: 32, ExpertsPerToken: 2),
            new(Tokens: 256 * 196, Width: 1024, HiddenWidth: 4096, Experts: 32, ExpertsPerToken: 2),
        ],
        [PeerWork.Million(2048), PeerWork.Million(65_536)],
        WideNetConfig.Base with { ImageHeight = 224, ImageWidth = 224 },
        Images: 256);

    /// <summary>Sizes that take a moment on any device.</summary>
    public static DeviceSizes Rehearsal { get; } = new(
        "rehearsal",
        [new(Tokens: 96, Width: 32, HiddenWidth: 64, Experts: 4, ExpertsPerToken: 2)],
        [PeerWork.Small],
        WideNetConfig.Tiny,
        Images: 8);
}
