using Microsoft.ML.MoE.Generation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Generation;

[TestClass]
public sealed class TokenGeneratorTests
{
    [TestMethod]
    [DataRow(1, 32)]
    [DataRow(5, 7)]
    [DataRow(31, 7)]
    [DataRow(3, 1)]
    [DataRow(3, 2)]
    public void TheCache_GivesTheTokensOfReadingAllAnew_AlsoWhenTheContextIsFull(int start, int context)
    {
        using var seed = new SeedScope(1, CPU);
        using var model = Model(LanguageModelConfig.Nano with { ContextLength = context });
        var tokens = Enumerable.Range(1, start).ToArray();
        var expected = Continue(model, tokens, useCache: false);
        CollectionAssert.AreEqual(expected, Continue(model, tokens, useCache: true));
        Assert.IsGreaterThan(3, expected.Distinct().Count());
    }

    [TestMethod]
    public void ExcludedTokens_NeverCome()
    {
        using var seed = new SeedScope(2, CPU);
        using var model = Model(LanguageModelConfig.Nano with { VocabularySize = 5 });
        using var generator = new TokenGenerator(model, [0], new SamplingOptions { Temperature = 10 }, 1, excluded: [1, 3]);
        for (var i = 0; i < 60; i++)
            generator.Next();
        CollectionAssert.AreEquivalent(new[] { 0, 2, 4 }, generator.Tokens.Distinct().ToArray());
    }

    [TestMethod]
    public void ThereMustBeATokenToContinue()
    {
        using var model = Model(LanguageModelConfig.Nano);
        Assert.ThrowsExactly<ArgumentException>(() => new TokenGenerator(model, [], SamplingOptions.Greedy, 1));
    }

    private static LanguageModel Model(LanguageModelConfig config)
    {
        using var _ = no_grad();
        var model = config.Build();
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(randn_like(parameter) * 0.2);
        model.eval();
        return model;
    }

    private static int[] Continue(LanguageModel model, int[] tokens, bool useCache)
    {
        using var generator = new TokenGenerator(model, tokens, new SamplingOptions(), 1, useCache: useCache);
        return [.. Enumerable.Range(0, 40).Select(_ => generator.Next())];
    }
}
