using Microsoft.ML.MoE.Generation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>Writing a text with the keys and values of the tokens before kept, against reading everything anew for each token.</summary>
internal sealed class GenerateBenchmark : IBenchmark
{
    private const int FirstToken = 10;

    private readonly LanguageModel model;
    private readonly int tokens;

    /// <param name="config">The model, with fresh weights; as many tokens are written as its context has.</param>
    public GenerateBenchmark(LanguageModelConfig config)
    {
        using var seed = new SeedScope(1, CPU);
        model = config.Build();
        model.eval();
        tokens = config.ContextLength;
    }

    /// <summary>Every token reads the weights that it meets; the sparse layer's rows are few.</summary>
    public BenchmarkWork? Work =>
        new(model.Config.GetCost().ForwardMacs, (double)sizeof(float) * model.Config.GetCost().ActiveParameters);

    public int Units => tokens;

    public void Ours() => Write(useCache: true);

    public void Baseline() => Write(useCache: false);

    public void Check()
    {
        var (expected, actual) = (Write(useCache: false), Write(useCache: true));
        var differing = expected.Zip(actual).TakeWhile(pair => pair.First == pair.Second).Count();
        if (differing < expected.Count)
            throw new BenchmarkCheckException($"The texts differ from token {differing} of {expected.Count}.");
        if (expected.Distinct().Count() < 2)
            throw new BenchmarkCheckException("The text is one token again and again, which shows nothing.");
    }

    public void Dispose() => model.Dispose();

    private IReadOnlyList<int> Write(bool useCache)
    {
        using var generator = new TokenGenerator(model, [FirstToken], new SamplingOptions(), seed: 1, useCache: useCache);
        for (var i = 0; i < tokens; i++)
            generator.Next();
        return generator.Tokens;
    }
}
