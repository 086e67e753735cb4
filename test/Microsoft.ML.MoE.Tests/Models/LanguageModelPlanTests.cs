using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Generation;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

/// <summary>A plan reads and continues texts as the model does.</summary>
[TestClass]
[RequiresAvx2]
public sealed class LanguageModelPlanTests
{
    private static readonly MixtureOfExpertsOptions FewPlaces = new()
    {
        Router = new TopKRouterOptions { Experts = 3, ExpertsPerToken = 2, RenormalizeGates = true },
        ExpertWidth = 9,
        EvaluationCapacity = new ExpertCapacity(1, Priority: CapacityPriority.LargestGate),
    };

    private static readonly PeerOptions SmallPeer = (PeerOptions)LanguageModelConfig.Nano.SparseLayer!;

    public static IEnumerable<string> Small => Configs.Keys;

    private static readonly Dictionary<string, LanguageModelConfig> Configs = LanguageModelPresets
        .All.Where(preset => preset.Config.GetCost().Parameters < 1_000_000)
        .ToDictionary(preset => preset.Name, preset => preset.Config)
        .Concat(
            new Dictionary<string, LanguageModelConfig>
            {
                ["odd"] = LanguageModelConfig.Nano with
                {
                    Width = 18,
                    Heads = 3,
                    VocabularySize = 37,
                    FeedForwardWidth = 5,
                    SparseLayer = null,
                },
                ["few places"] = LanguageModelConfig.Nano with { SparseLayer = new MixtureSlotOptions { Mixture = FewPlaces } },
                ["gated"] = LanguageModelConfig.Nano with
                {
                    SparseLayer = SmallPeer with
                    {
                        Gated = true,
                        Gate = GateFunction.Sigmoid,
                        SharedSubKeys = false,
                        QueryBatchNorm = false,
                        Activation = NeuronActivation.Relu,
                    },
                },
                ["one long product"] = LanguageModelConfig.Nano with { FeedForwardWidth = 600, Positions = PositionKind.Learned },
            })
        .ToDictionary();

    [TestMethod]
    [DynamicData(nameof(Small))]
    public unsafe void StatesAndScoresAreThoseOfTheForwardPass(string name)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(2, CPU);
        foreach (var threads in new[] { 1, 3 })
        {
            using var scopeOfThreads = new ThreadScope(threads);
            using var model = Build(name);
            using var plan = model.CreatePlan()!;
            var (width, vocabulary) = (model.Config.Width, model.Config.VocabularySize);
            int[] lengths = [1, 2, 9, 20, model.Config.ContextLength];
            var texts = Array.ConvertAll(lengths, length => Tokens(model, length));
            var states = new float[lengths.Length][];
            var logits = new float[lengths.Length][];
            plan.Read(texts, (workspace, text, states_LD) =>
            {
                var scores = new float[lengths[text] * vocabulary];
                states[text] = new ReadOnlySpan<float>(states_LD, lengths[text] * width).ToArray();
                fixed (float* target = scores)
                {
                    plan.Score(workspace, states_LD, lengths[text], target);
                }
                logits[text] = scores;
            });
            for (var text = 0; text < lengths.Length; text++)
            {
                var wanted = model.forward(Ids(texts[text]));
                TensorAssert.AreClose(
                    wanted.States_NLD.squeeze(0),
                    tensor(states[text]).view(-1, width),
                    Allowed(wanted.States_NLD),
                    $"states of {lengths[text]}");
                TensorAssert.AreClose(
                    wanted.Logits_NLV.squeeze(0),
                    tensor(logits[text]).view(-1, vocabulary),
                    Allowed(wanted.Logits_NLV),
                    $"scores of {lengths[text]}");
            }
        }
    }

    [TestMethod]
    [DynamicData(nameof(Small))]
    public void WithACacheTheScoresAreThoseOfTheModelWithItsCache(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = Build(name);
        using var plan = model.CreatePlan()!;
        using var theirs = model.CreateCache();
        var ours = plan.CreateCache();
        var logits = new float[model.Config.VocabularySize];
        foreach (var added in new[] { 5, 1, 1, 4, 1, 2, 1 })
        {
            var tokens = Tokens(model, added);
            var wanted_V = model.Advance(Ids(tokens), theirs).squeeze(0);
            plan.Advance(tokens, ours, logits);
            Assert.AreEqual(theirs.Length, ours.Length);
            TensorAssert.AreClose(wanted_V, tensor(logits), Allowed(wanted_V), $"after {ours.Length}");
        }
        ours.Reset();
        theirs.Reset();
        plan.Advance([1, 2, 3], ours, logits);
        TensorAssert.AreClose(model.Advance(Ids([1, 2, 3]), theirs).squeeze(0), tensor(logits), Allowed(tensor(logits)), "used again");
    }

    [TestMethod]
    [DynamicData(nameof(Small))]
    public void DocumentsScoreAsByTheModel(string name)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var model = Build(name);
        using var plan = model.CreatePlan()!;
        // Longer ones than the context too.
        int[][] documents = [[], [3], Tokens(model, 8), Tokens(model, 8), Tokens(model, 31), Tokens(model, 32), Tokens(model, 90)];
        var wanted = new DocumentScorer(model, 0, 3).Score(documents, withEmbeddings: true);
        var found = new DocumentScorer(model, 0, 3, plan).Score(documents, withEmbeddings: true);
        var alone = new DocumentScorer(model, 0, 3, plan).Score(documents, withEmbeddings: true, withLikelihoods: false);
        var aloneByModel = new DocumentScorer(model, 0, 3).Score(documents, withEmbeddings: true, withLikelihoods: false);
        for (var i = 0; i < documents.Length; i++)
        {
            Assert.AreEqual(wanted[i].LogLikelihood, found[i].LogLikelihood, 1e-3, $"document {i}");
            Assert.AreEqual(wanted[i].TokenCount, found[i].TokenCount);
            Assert.IsNull(new DocumentScorer(model, 0, 3, plan).Score([documents[i]])[0].Embedding);
            Assert.IsTrue(double.IsNaN(alone[i].LogLikelihood) && double.IsNaN(aloneByModel[i].LogLikelihood));
            for (var d = 0; d < model.Config.Width; d++)
            {
                Assert.AreEqual(wanted[i].Embedding![d], found[i].Embedding![d], 1e-4f);
                Assert.AreEqual(found[i].Embedding![d], alone[i].Embedding![d]);
                Assert.AreEqual(wanted[i].Embedding![d], aloneByModel[i].Embedding![d], 1e-5f);
            }
        }
    }

    [TestMethod]
    public void TheSameTextIsMade()
    {
        using var seed = new SeedScope(5, CPU);
        using var model = Build("lm-nano-peer");
        using var plan = model.CreatePlan()!;
        var sampling = new SamplingOptions { Temperature = 0 };
        using var theirs = new TokenGenerator(model, [1, 2], sampling, 1, [7]);
        using var ours = new TokenGenerator(model, [1, 2], sampling, 1, [7], plan: plan);
        for (var i = 0; i < 100; i++)   // three contexts long
            Assert.AreEqual(theirs.Next(), ours.Next(), $"token {i}");
    }

    [TestMethod]
    public void NoTensorIsMade()
    {
        using var seed = new SeedScope(6, CPU);
        using var model = Build("lm-nano-peer");
        using var plan = model.CreatePlan()!;
        var (cache, logits) = (plan.CreateCache(), new float[model.Config.VocabularySize]);
        plan.Advance([1], cache, logits);
        var before = LiveTensors.Count();
        for (var i = 0; i < 20; i++)
            plan.Advance([i], cache, logits);
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    [DataRow(null, typeof(LanguageModel))]
    [DataRow(typeof(SeedScope), typeof(SeedScope))]   // of whoever holds the model
    public void ADisposedPlanDoesNotRead_AndNamesWhatItsUserHolds(Type? owner, Type named)
    {
        using var seed = new SeedScope(6, CPU);
        using var model = Build("lm-nano-peer");
        var plan = model.CreatePlan(owner)!;
        var (cache, logits) = (plan.CreateCache(), new float[model.Config.VocabularySize]);
        plan.Dispose();
        plan.Dispose();
        var error = Assert.ThrowsExactly<ObjectDisposedException>(() => plan.Advance([1], cache, logits));
        Assert.AreEqual(named.FullName, error.ObjectName);
        error = Assert.ThrowsExactly<ObjectDisposedException>(() => plan.Read([[1]], null!));
        Assert.AreEqual(named.FullName, error.ObjectName);
        using var other = model.CreatePlan()!;
        other.Advance([1], other.CreateCache(), logits);
    }

    [TestMethod]
    public unsafe void BadTokensAreNamed()
    {
        using var model = LanguageModelConfig.Nano.Build();
        using var plan = model.CreatePlan()!;
        var (cache, logits) = (plan.CreateCache(), new float[257]);
        Throws(() => plan.Read([new int[33]], (_, _, _) => { }), "33 tokens, and room for 32");
        Throws(() => plan.Read([[257]], (_, _, _) => { }), "a token 257");
        Throws(() => plan.Advance([-1], cache, logits), "a token -1");
        Throws(() => plan.Advance([], cache, logits), "0 tokens");
        plan.Advance(new int[30], cache, logits);
        Throws(() => plan.Advance(new int[3], cache, logits), "room for 2");

        static void Throws(Action action, string message) =>
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(action).Message, message);
    }

    private static double Allowed(Tensor wanted) => 1e-4 * (1 + wanted.abs().max().ReadDouble());

    private static Tensor Ids(int[] tokens) => tensor(Array.ConvertAll(tokens, token => (long)token), [1, tokens.Length]);

    private static int[] Tokens(LanguageModel model, int count)
    {
        using var ids = randint(0, model.Config.VocabularySize, [count], int64);
        return Array.ConvertAll(ids.data<long>().ToArray(), id => (int)id);
    }

    private static LanguageModel Build(string name)
    {
        var model = Configs[name].Build();
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(randn_like(parameter) * 0.1);
        foreach (var (bufferName, buffer) in model.named_buffers())
        {
            if (bufferName.Contains("running", StringComparison.Ordinal))   // what batch normalisation has seen
                buffer.add_(rand_like(buffer) * 0.3);
        }
        model.eval();
        return model;
    }
}
