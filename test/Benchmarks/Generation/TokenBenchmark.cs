using Benchmarks.Frozen;
using Microsoft.ML.MoE.Generation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using static TorchSharp.torch;

namespace Benchmarks.Generation;

/// <summary>
/// Writing a text with a dense language model, token by token with keys and values kept, against the same model in libtorch's operators.
/// Both draw by the same sampler.
/// </summary>
internal sealed class TokenBenchmark : IBenchmark
{
    private const int FirstToken = 10;

    private readonly LanguageModel model;
    private readonly TorchLanguageModel frozen;
    private readonly LanguageModelPlan? plan;
    private readonly int tokens;

    /// <param name="config">The model, with fresh weights.</param>
    /// <param name="tokens">How many tokens are written.</param>
    public TokenBenchmark(LanguageModelConfig config, int tokens)
    {
        this.tokens = tokens;
        using var seed = new SeedScope(1, CPU);
        model = config.Build();
        model.eval();
        using (no_grad())
        {
            // It starts with zeros: every token would be as likely.
            _ = nn.init.normal_(model.named_parameters().Single(pair => pair.name == "scores.weight").parameter, 0, 0.1);
        }

        plan = model.CreatePlan();
        frozen = new TorchLanguageModel(model);
    }

    /// <summary>Every token reads all weights.</summary>
    public BenchmarkWork? Work =>
        new(model.Config.GetCost().ForwardMacs, (double)sizeof(float) * model.Config.GetCost().ActiveParameters);

    public int Units => tokens;

    public void Ours() => Write();

    public void Baseline() => WriteFrozen(_ => { });

    public void Check()
    {
        var text = Write();
        var scores = new List<float[]>();
        var same = WriteFrozen(scores.Add);
        var differing = text.Zip(same).TakeWhile(pair => pair.First == pair.Second).Count();
        if (differing < text.Count)
            throw new BenchmarkCheckException($"The texts differ from token {differing} of {text.Count}.");

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var ids = text.Take(tokens).Select(token => (long)token).ToArray();
        var expected = model.forward(tensor(ids, [1, tokens])).Logits_NLV.contiguous().data<float>().ToArray();
        var excess = scores.SelectMany(each => each).Zip(expected).Max(pair => Math.Abs(pair.First - pair.Second));
        if (!(excess <= 1e-4 * expected.Max(Math.Abs)))
            throw new BenchmarkCheckException($"The baseline's scores differ from the model's by {excess:g3}.");
    }

    public void Dispose()
    {
        model.Dispose();
        frozen.Dispose();
    }

    private IReadOnlyList<int> Write()
    {
        using var generator = new TokenGenerator(model, [FirstToken], new SamplingOptions(), seed: 1, plan: plan);
        for (var i = 0; i < tokens; i++)
            generator.Next();
        return generator.Tokens;
    }

    private List<int> WriteFrozen(Action<float[]> scored)
    {
        var sampler = new TokenSampler(new SamplingOptions(), seed: 1);
        var text = new List<int> { FirstToken };
        for (var i = 0; i < tokens; i++)
        {
            var scores = frozen.Read(text[^1], before: i);
            scored(scores);
            text.Add(sampler.Next(scores, text));
        }

        return text;
    }
}
