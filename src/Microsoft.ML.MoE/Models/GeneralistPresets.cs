using System.Globalization;

namespace Microsoft.ML.MoE.Models;

/// <summary>Every named generalist: the sizes of Uni-Perceiver-MoE (arXiv 2206.04674), and the dense Uni-Perceiver beside them.</summary>
internal static class GeneralistPresets
{
    /// <summary>All presets, the largest first.</summary>
    public static IReadOnlyList<ModelPreset<GeneralistConfig>> All { get; } =
    [
        Deployed("uni-perceiver-moe-large", GeneralistConfig.Large, 505),
        Dense("uni-perceiver-large", GeneralistConfig.Large, 354),
        Deployed("uni-perceiver-moe-base", GeneralistConfig.Base, 167),
        Dense("uni-perceiver-base", GeneralistConfig.Base, 124),
        new("uni-perceiver-moe-tiny", GeneralistConfig.Tiny, null, "the paper's comparison of routers; experts in all 12 blocks"),
        new("uni-perceiver-tiny", WithoutExperts(GeneralistConfig.Tiny), null, "the paper's comparison of routers, without experts"),
    ];

    private static ModelPreset<GeneralistConfig> Deployed(string name, GeneralistConfig config, int published) =>
        new(
            name,
            config,
            published,
            string.Create(
                CultureInfo.InvariantCulture,
                $"published as deployed, 8 experts merged for two roles and without routers: {config.GetDeployedParameters(2):n0} of "
                    + $"ours"));

    private static ModelPreset<GeneralistConfig> Dense(string name, GeneralistConfig config, int published) =>
        new(name, WithoutExperts(config), published, "without experts; the published count leaves out what not every task needs");

    private static GeneralistConfig WithoutExperts(GeneralistConfig config) => config with { Block = config.Block with { Experts = null } };
}
