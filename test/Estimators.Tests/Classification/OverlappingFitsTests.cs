using System.Security.Cryptography;
using Estimators.Tests.Generalists;
using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Estimators.Tests.Classification;

/// <summary>Two calls of <c>Fit</c> at the same time in one process, step by step in turns.</summary>
[TestClass]
public sealed class OverlappingFitsTests
{
    private static readonly string[] Estimators =
    [
        "WideNet",
        "SparseMlp",
        "VisionTransformer",
        "Pretraining",
        "LanguageModel",
        "Generalist",
    ];

    private readonly MLContext ml = new(seed: 1);

    public static IEnumerable<string> All => Estimators;

    [TestMethod]
    [DynamicData(nameof(All))]
    public void BothGiveTheWeightsThatTheyGiveAlone_AndLeaveTheProcessAsItWas(string estimator)
    {
        var (one, other) = (Fit(estimator, seed: 5, threads: 1), Fit(estimator, seed: 6, threads: 2));
        Assert.AreNotEqual(one, other, "dropout, noise and weights follow the seed");
        var before = Process();

        (string One, string Other) overlapping = ("", "");
        var (first, second) = Turns.Run(
            handOver => overlapping.One = Fit(estimator, 5, 1, _ =>
            {
                handOver();
                Assert.AreEqual(1, get_num_threads());
            }),
            handOver => overlapping.Other = Fit(estimator, 6, 2, _ =>
            {
                handOver();
                Assert.AreEqual(2, get_num_threads());
            }));

        Assert.IsNull(first);
        Assert.IsNull(second);
        Assert.AreEqual((one, other), overlapping);
        Assert.AreEqual(before, Process());
    }

    [TestMethod]
    [DataRow("WideNet")]
    [DataRow("LanguageModel")]
    [DataRow("Generalist")]
    public void OneThatThrowsLeavesTheOtherAndTheProcessAlone(string estimator)
    {
        var alone = Fit(estimator, seed: 5, threads: 1);
        var before = Process();

        var overlapping = "";
        var reports = 0;
        var (first, second) = Turns.Run(
            handOver => Fit(estimator, 6, 2, _ =>
            {
                handOver();
                if (++reports == 3)
                    throw new InvalidOperationException("enough");
            }),
            handOver => overlapping = Fit(estimator, 5, 1, _ => handOver()));

        Assert.AreEqual("enough", first?.Message);
        Assert.IsNull(second);
        Assert.AreEqual(alone, overlapping);
        Assert.AreEqual(before, Process());
    }

    [TestMethod]
    [DataRow("WideNet")]
    [DataRow("LanguageModel")]
    [DataRow("Generalist")]
    public void WithinACallersNoGradItTrainsAllTheSame_AndTheModeIsTheCallersAfterwards(string estimator)
    {
        var alone = Fit(estimator, seed: 5, threads: 1);
        using (no_grad())
        {
            Assert.AreEqual(alone, Fit(estimator, seed: 5, threads: 1));
            Assert.IsFalse(is_grad_enabled());
        }
        Assert.IsTrue(is_grad_enabled());
    }

    [TestMethod]
    [DataRow("WideNet")]
    [DataRow("LanguageModel")]
    [DataRow("Generalist")]
    public void WithinACallersInferenceModeItTrainsAllTheSame(string estimator)
    {
        var alone = Fit(estimator, seed: 5, threads: 1);
        using (inference_mode())
            Assert.AreEqual(alone, Fit(estimator, seed: 5, threads: 1));
    }

    [TestMethod]
    [DataRow("WideNet")]
    [DataRow("LanguageModel")]
    [DataRow("Generalist")]
    public void TensorsThatACallbackMakesAreItsOwn(string estimator)
    {
        var made = new List<Tensor>();
        _ = Fit(estimator, seed: 5, threads: 1, progress => made.Add(tensor(progress.Step)));
        Assert.IsNotEmpty(made);
        Assert.IsFalse(made.Any(each => each.IsInvalid));
        made.ForEach(each => each.Dispose());
    }

    // The number of threads that one begins with that has not used libtorch yet, and the state of the process's generator.
    private static (int Threads, string Generator) Process()
    {
        var threads = 0;
        var fresh = new Thread(() => threads = get_num_threads());
        fresh.Start();
        fresh.Join();
        using var generator = torch.Generator.Default;
        using var state = generator.get_state();
        return (threads, Convert.ToHexString(SHA256.HashData(state.bytes)));
    }

    private string Fit(string estimator, int seed, int threads, Action<TrainingProgress>? progress = null)
    {
        using var model = Train(estimator, seed, threads, progress ?? (_ => { }));
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var parameter in NetworkOf(model).parameters())
            hash.AppendData(parameter.detach().contiguous().bytes);
        return Convert.ToHexString(hash.GetHashAndReset());
    }

    private static nn.Module NetworkOf(IDisposable model) => model switch
    {
        ImageClassificationTransformer classifier => classifier.Model,
        LanguageModelTransformer language => language.Model,
        GeneralistTransformer generalist => generalist.Model,
        _ => throw new ArgumentException($"No network in a {model.GetType().Name}.", nameof(model)),
    };

    private IDisposable Train(string estimator, int seed, int threads, Action<TrainingProgress> progress)
    {
        if (estimator == "LanguageModel")
        {
            var options = Rhymes.Options();
            (options.Epochs, options.Seed, options.Threads, options.Progress, options.ProgressInterval) = (2, seed, threads, progress, 1);
            options.Alter(a => a with { Dropout = 0.2 });
            return ml.Transforms.Text.PeerLanguageModel(options).Fit(Rhymes.Data(ml));
        }
        if (estimator == "Generalist")
        {
            var options = Toys.Options("colour", "mood");
            (options.Epochs, options.Seed, options.Threads, options.Progress, options.ProgressInterval) = (2, seed, threads, progress, 1);
            options.Alter(a => a with { DropPath = 0.3, Block = a.Block with { RoutingLevel = RoutingLevel.Token } });
            return ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(ml, Toys.Rows(["colour", "mood"], 24, seed: 1)));
        }

        ImageClassificationOptions classifier = estimator switch
        {
            "SparseMlp" or "Pretraining" => Colours.SparseMlpOptions(),
            "VisionTransformer" => Colours.VisionTransformerOptions(),
            _ => Colours.Options(),
        };
        (classifier.Epochs, classifier.Seed, classifier.Threads, classifier.Progress, classifier.ProgressInterval) = (
            2, seed, threads, progress, 1);
        (classifier.Mixup, classifier.RandomCropPadding) = (0.2, 1);
        (classifier as WideNetImageClassifier.Options)?.Alter(a => a with { Dropout = 0.1, DropPath = 0.2 });
        (classifier as VisionTransformerImageClassifier.Options)?.Alter(a => a with { Dropout = 0.1, DropPath = 0.2 });
        if (estimator == "Pretraining")
            classifier.Pretraining = new MoCoPretraining
            {
                Epochs = 2,
                BatchSize = 16,
                HiddenWidth = 16,
                OutputWidth = 8,
                Progress = progress,
            };
        return Colours.Trainer(ml, classifier).Fit(Colours.WithKeys(ml, Colours.Rows(48)));
    }
}
