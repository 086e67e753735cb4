using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;

namespace Estimators.Tests.Support;

/// <summary>Changes the architecture within options.</summary>
internal static class Architectures
{
    public static void Alter(this WideNetImageClassifier.Options options, Func<WideNetConfig, WideNetConfig> change) =>
        options.Architecture = change(options.Architecture ?? WideNetConfig.Small);

    public static void Alter(this SparseMlpTrainer.Options options, Func<SparseMlpConfig, SparseMlpConfig> change) =>
        options.Architecture = change(options.Architecture ?? SparseMlpConfig.Small);

    public static void Alter(
        this VisionTransformerImageClassifier.Options options,
        Func<VisionTransformerConfig, VisionTransformerConfig> change
    ) => options.Architecture = change(options.Architecture ?? VisionTransformerConfig.Small);

    public static void Alter(this PeerLanguageModel.Options options, Func<LanguageModelConfig, LanguageModelConfig> change) =>
        options.Architecture = change(options.Architecture ?? LanguageModelConfig.Small);

    public static void Alter(this UniPerceiverGeneralist.Options options, Func<GeneralistConfig, GeneralistConfig> change) =>
        options.Architecture = change(options.UsedArchitecture);
}
