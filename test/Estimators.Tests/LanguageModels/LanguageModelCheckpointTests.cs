using System.Reflection;
using System.Security.Cryptography;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.LanguageModels;

/// <summary>
/// Fit with checkpoints: what was interrupted goes on as if it had not been. What the loop does with them is tested with the image
/// classifiers.
/// </summary>
[TestClass]
public sealed class LanguageModelCheckpointTests
{
    private readonly MLContext ml = new(seed: 1);
    private readonly string folder = Path.Combine(Path.GetTempPath(), $"moe-ml-{Guid.NewGuid():n}");

    [TestCleanup]
    public void Delete()
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    [TestMethod]
    [DataRow("lm-nano-peer", "cancelled")]
    [DataRow("lm-nano-peer", "cancelled by the context")]
    [DataRow("lm-nano-peer", "failed")]
    [DataRow("lm-nano-moe", "cancelled")]
    public void AnInterruptedFit_GoesOn_ToTheBit(string preset, string end)
    {
        var layer = LanguageModelPresets.All.Single(one => one.Name == preset).Config.SparseLayer;
        using var whole = Fit(ml, Change(options => options.Alter(a => a with { SparseLayer = layer })));

        // Cancelled, a training writes a last checkpoint; ended by an error, it has that of the third step.
        var failed = end == "failed";
        using var source = new CancellationTokenSource();
        var ending = new MLContext(seed: 1);
        var options = Change(options =>
        {
            (options.Checkpoints, options.CancellationToken) = (
                new CheckpointOptions(folder) { EverySteps = failed ? 3 : null }, source.Token);
            options.Alter(a => a with { SparseLayer = layer });
            options.Progress = progress =>
            {
                if (progress.Step != 5)
                    return;
                if (failed)
                    throw new TimeoutException();
                if (end == "cancelled")
                    source.Cancel();
                else
                    typeof(MLContext).GetMethod("CancelExecution", BindingFlags.Instance | BindingFlags.NonPublic)!.Invoke(ending, null);
            };
        });
        if (failed)
            Assert.ThrowsExactly<TimeoutException>(() => Fit(ending, options));
        else
            Assert.Throws<OperationCanceledException>(() => Fit(ending, options));

        var steps = new List<int>();
        var logging = new MLContext(seed: 1);
        var log = new LogMessages(logging);
        using var resumed = Fit(
            logging,
            Change(options =>
            {
                (options.Checkpoints, options.Progress) = (new CheckpointOptions(folder) { Resume = true }, progress =>
                    steps.Add(progress.Step));
                options.Alter(a => a with { SparseLayer = layer });
            }));
        Assert.AreEqual(failed ? 4 : 6, steps[0]);
        Assert.AreEqual(Hash(whole), Hash(resumed));
        Assert.IsTrue(
            log.All.Any(message =>
                message.Contains($"Training continues after {steps[0] - 1} steps and 0 epochs, from "
                    + $"'{folder}'.", StringComparison.Ordinal)),
            string.Join('\n', log.All));
        CollectionAssert.AreEqual(
            whole.History.Select(epoch => (epoch.Averages.Loss, epoch.Averages.Samples, epoch.Validation)).ToArray(),
            resumed.History.Select(epoch => (epoch.Averages.Loss, epoch.Averages.Samples, epoch.Validation)).ToArray());
    }

    [TestMethod]
    public void OtherTextsOrOptions_AreRefused_ByName()
    {
        Fit(ml, Change(options => options.Checkpoints = new(folder))).Dispose();
        // The same again, which gives the result.
        Fit(ml, Change(options => options.Checkpoints = new(folder) { Resume = true })).Dispose();

        AssertRefused(rows => rows[0].Text = "the cat sat on the bat", _ => { }, "Hash of the training tokens was");
        AssertRefused(rows => rows.RemoveRange(0, 8), _ => { }, "Number of training texts was");
        AssertRefused(rows => rows[^1].Text += "s", _ => { }, "Hash of the validation tokens was");
        AssertRefused(_ => { }, options => options.LearningRate = 0.1, "LearningRate was 0.01 in the checkpoint and is 0.1 now");
        AssertRefused(_ => { }, options => options.BatchSize = 3, "BatchSize was 4 in the checkpoint and is 3 now");
        AssertRefused(
            _ => { },
            options => options.Alter(a => a with { Heads = 1 }),
            "cannot be continued: Model.Heads was 2 in the checkpoint and is 1 now");
        AssertRefused(
            _ => { },
            options => options.Alter(a => a with { SparseLayer = ((PeerOptions)a.SparseLayer!) with { QueryBatchNorm = false } }),
            "cannot be continued: Model.SparseLayer.QueryBatchNorm was true in the checkpoint and is false now");
        AssertRefused(
            _ => { },
            options => options.Tokenizer = TokenizerOptions.Characters,
            "Tokenizer was Bytes in the checkpoint and is Characters now");
        AssertRefused(_ => { }, options => options.Seed = 5, "Seed was 3 in the checkpoint and is 5 now");
        StringAssert.Contains(
            Assert.Throws<InvalidOperationException>(() => Fit(ml, Change(options => options.Checkpoints = new(folder)))).Message,
            "has checkpoints of an earlier training");

        void AssertRefused(Action<List<TextRow>> changeRows, Action<PeerLanguageModel.Options> change, string reason)
        {
            var rows = Rhymes.Rows(24).ToList();
            changeRows(rows);
            var changed = Change(options => options.Checkpoints = new(folder) { Resume = true });
            change(changed);
            StringAssert.Contains(Assert.Throws<InvalidOperationException>(() => Fit(ml, changed, rows)).Message, reason);
        }
    }

    [TestMethod]
    public void WithoutASeed_ThatOfTheTrainingIsTakenUp()
    {
        using var first = Fit(
            new MLContext(), Change(options => (options.Checkpoints, options.Seed) = (new CheckpointOptions(folder), null)));
        using var second = Fit(
            new MLContext(),
            Change(options => (options.Checkpoints, options.Seed) = (new CheckpointOptions(folder) { Resume = true }, null)));
        Assert.AreEqual(first.Training!.Seed, second.Training!.Seed);
        Assert.AreEqual(Hash(first), Hash(second));
    }

    [TestMethod]
    public void WhatCannotBe_IsRefusedBeforeTraining()
    {
        AssertRefused(options => options.Checkpoints = new(folder) { EverySteps = 0 }, "EverySteps is 0");
        AssertRefused(options => options.Checkpoints = new(folder) { EveryEpochs = 0 }, "EveryEpochs is 0");
        AssertRefused(options => options.Checkpoints = new(folder) { Kept = 0 }, "Kept is 0");

        void AssertRefused(Action<PeerLanguageModel.Options> change, string reason) =>
            StringAssert.Contains(
                Assert.ThrowsExactly<ArgumentException>(() => ml.Transforms.Text.PeerLanguageModel(Change(change))).Message, reason);
    }

    private static PeerLanguageModel.Options Change(Action<PeerLanguageModel.Options> change)
    {
        var options = Rhymes.Options();
        options.Alter(a => a with { Dropout = 0.1 });
        (options.Epochs, options.EmaDecay, options.ValidationFraction, options.ProgressInterval, options.Precision) =
            (2, 0.9, 0.25, 1, Microsoft.ML.MoE.Runtime.Precision.Float32);
        change(options);
        return options;
    }

    private static LanguageModelTransformer Fit(MLContext ml, PeerLanguageModel.Options options, List<TextRow>? rows = null) =>
        ml.Transforms.Text.PeerLanguageModel(options).Fit(ml.Data.LoadFromEnumerable(rows ?? [.. Rhymes.Rows(24)]));

    private static string Hash(LanguageModelTransformer model)
    {
        using var scope = torch.NewDisposeScope();
        return Convert.ToHexString(
            SHA256.HashData([.. model.Model.parameters().Concat(model.Model.buffers()).SelectMany(tensor => tensor.bytes.ToArray())]));
    }
}
