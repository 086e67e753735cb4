namespace Microsoft.ML.MoE.Models;

/// <summary>Every named text encoder: those that the WideNet paper compares (arXiv 2107.11817, section 5), and a size for tests.</summary>
internal static class TextEncoderPresets
{
    private const string Paper = "WideNet paper, section 5, which counts heads for masked words and order too; without them";

    /// <summary>All presets, the largest first.</summary>
    public static IReadOnlyList<ModelPreset<TextEncoderConfig>> All { get; } =
    [
        new("text-bert", TextEncoderConfig.BertBase, 89, $"{Paper} 89.65M"),
        new("text-widenet-e16", TextEncoderConfig.WideNetBase with { Experts = 16 }, 83, $"{Paper} 82.57M"),
        new("text-widenet-e8", TextEncoderConfig.WideNetBase with { Experts = 8 }, 45, $"{Paper} 44.78M"),
        new("text-widenet-e4", TextEncoderConfig.WideNetBase, 26, $"{Paper} 25.89M"),
        new("text-albert", TextEncoderConfig.AlbertBase, 12, $"{Paper} 11.68M"),
        new("text-tiny", TextEncoderConfig.Tiny, null, "60 tokens, for tests"),
    ];
}
