using System.Reflection;
using System.Text.Json.Nodes;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Hosting;

/// <summary>Every field of an architecture reaches the model, its zip and its checkpoints, without a line that names it.</summary>
[TestClass]
public sealed class ArchitectureTests
{
    private static readonly string[] DecidedByData =
        ["ImageHeight", "ImageWidth", "Channels", "PatchSize", "ClassCount", "VocabularySize", "Frames", "Tasks"];

    [TestMethod]
    public void EveryField_OfAWideNet() =>
        AssertAllReach(
            WideNetConfig.Small,
            WideNetConfig.FromJson,
            config => config.ToJson(),
            config =>
                (WideNetConfig)
                    new WideNetImageClassifier.Options { Architecture = config, PatchSize = 4 }.CreateConfig(new ImageShape(1, 28, 28), 4));

    [TestMethod]
    public void EveryField_OfAVisionTransformer() => AssertAllReach(
        VisionTransformerConfig.MoeSmall, VisionTransformerConfig.FromJson, config => config.ToJson(),
        config => (VisionTransformerConfig)new VisionTransformerImageClassifier.Options { Architecture = config, PatchSize = 4 }
            .CreateConfig(new ImageShape(1, 28, 28), 4));

    [TestMethod]
    public void EveryField_OfASparseMlp() =>
        AssertAllReach(
            SparseMlpConfig.Small,
            SparseMlpConfig.FromJson,
            config => config.ToJson(),
            config =>
                (SparseMlpConfig)
                    new SparseMlpTrainer.Options { Architecture = config, PatchSize = 4 }.CreateConfig(new ImageShape(1, 28, 28), 4));

    [TestMethod]
    public void EveryField_OfALanguageModel() => AssertAllReach(
        LanguageModelConfig.Small, LanguageModelConfig.FromJson, config => config.ToJson(),
        config => new PeerLanguageModel.Options { Architecture = config }.CreateConfig(vocabularySize: 50));

    [TestMethod]
    public void EveryField_OfAGeneralist() => AssertAllReach(
        GeneralistConfig.Small, GeneralistConfig.FromJson, config => config.ToJson(),
        config => new UniPerceiverGeneralist.Options
        {
            Architecture = config,
            PatchSize = 4,
            Tasks = [new() { Name = "mood", Kind = GeneralistTaskKind.TextClassification }],
        }.CreateConfig(vocabularySize: 50, new ImageShape(1, 28, 28), frames: 1));

    private static void AssertAllReach<TConfig>(
        TConfig config, Func<string, object> read, Func<TConfig, string> write, Func<TConfig, TConfig> create)
        where TConfig : class
    {
        var fields = typeof(TConfig).GetProperties().Where(field => field.CanWrite && !DecidedByData.Contains(field.Name)).ToArray();
        Assert.IsGreaterThan(5, fields.Length);
        var usual = Identity(write(create(config)));
        foreach (var field in fields)
        {
            var changed = (TConfig)typeof(TConfig).GetConstructor([typeof(TConfig)])!.Invoke([config]);
            field.SetValue(changed, Another(field.GetValue(config), field));
            TConfig used;
            try
            {
                used = create(changed);
            }
            catch (ArgumentException refused)
            {
                Assert.Contains(field.Name, refused.Message);   // it reached the check, which says why not
                continue;
            }

            Assert.AreEqual(field.GetValue(changed), field.GetValue(used), field.Name);
            var json = write(used);
            Assert.AreEqual(json, write((TConfig)read(json)), field.Name);
            Assert.IsTrue(
                Identity(json).Except(usual).Any(pair => pair.Key.StartsWith($"Model.{field.Name}", StringComparison.Ordinal)), field.Name);
        }
    }

    private static KeyValuePair<string, string>[] Identity(string json) => TrainingState.Describe("Model", JsonNode.Parse(json)).ToArray();

    private static object Another(object? value, PropertyInfo field)
    {
        var type = Nullable.GetUnderlyingType(field.PropertyType) ?? field.PropertyType;
        return value switch
        {
            _ when type == typeof(bool) => value is false,
            _ when type == typeof(int) => value is int and > 0 ? (int)value * 2 : 2,
            _ when type == typeof(double) => value is double and > 0 ? (double)value / 2 : 0.25,
            _ when type.IsEnum => Enum.GetValues(type).Cast<object>().First(other => !other.Equals(value)),
            _ when type == typeof(ConvolutionalStem) => new ConvolutionalStem { FirstChannels = 7 },
            _ when type == typeof(ExpertCapacity) => new ExpertCapacity { Factor = 7 },
            _ when type == typeof(BlockPositions) => BlockPositions.First(1),
            _ when type == typeof(FeedForwardSlotOptions) => new ExpertChoiceOptions(),
            _ when type == typeof(IReadOnlyList<int>) => new[] { 0 },
            _ when type == typeof(IReadOnlyList<string>) => new[] { "other" },
            ConditionalBlockOptions block => block with { FeedForwardWidth = 8 },
            _ when type == typeof(GeneralistTask) => new GeneralistTask
            {
                Name = "a",
                Kind = GeneralistTaskKind.TextClassification,
                ClassNames = ["b", "c"],
            },
            _ => throw new NotSupportedException($"No other value of {field.PropertyType} for {field.Name}."),
        };
    }
}
