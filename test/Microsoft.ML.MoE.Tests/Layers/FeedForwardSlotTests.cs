using System.Text.Json;
using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

[TestClass]
public sealed class FeedForwardSlotTests
{
    private const int Width = 8;

    private static readonly FeedForwardSlotOptions[] All =
    [
        new DenseSlotOptions { HiddenWidth = 12 },
        new MixtureSlotOptions
        {
            Mixture = new() { Router = new() { Experts = 4, ExpertsPerToken = 2, NoiseScale = 0 }, ExpertWidth = 12 },
        },
        new ExpertChoiceOptions
        {
            Experts = 4,
            ExpertWidth = 12,
            CapacityFactor = 1.5,
        },
        new ProductKeyMemoryOptions
        {
            Memories = 64,
            Heads = 2,
            MemoriesPerHead = 5,
            QueryWidth = 6,
        },
        new ProductKeyMemoryOptions
        {
            Memories = 64,
            Heads = 2,
            MemoriesPerHead = 5,
            QueryWidth = 6,
            QueryBatchNorm = false,
            SharedSubKeys = true,
            KeyLearningRateScale = 0.5,
        },
        new PeerOptions
        {
            Experts = 64,
            Heads = 2,
            ExpertsPerHead = 4,
            QueryWidth = 6,
        },
        new PeerOptions
        {
            Experts = 64,
            Heads = 2,
            ExpertsPerHead = 4,
            QueryWidth = 6,
            Gated = true,
            SharedSubKeys = false,
            QueryBatchNorm = false,
            KeyLearningRateScale = 0.5,
        },
    ];

    public static IEnumerable<object[]> Slots => All.Select(options => new object[] { options });

    public static IEnumerable<object[]> Causal =>
        All.Where(options => options is not ExpertChoiceOptions).Select(options => new object[] { options });

    [TestMethod]
    [DynamicData(nameof(Slots))]
    public void OutputIsFiniteAndEverythingThatTrainsGetsAGradient(FeedForwardSlotOptions options)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var slot = options.Create(Width);
        var x_TD = randn(20, Width).requires_grad_(true);
        var output = slot.forward(x_TD);
        CollectionAssert.AreEqual(new long[] { 20, Width }, output.Output_TD.shape);
        Assert.IsTrue(output.Output_TD.isfinite().all().ToBoolean());
        ((output.AuxiliaryLoss ?? zeros([])) + (output.Output_TD * randn(20, Width)).sum()).backward();
        Assert.IsTrue(x_TD.grad!.isfinite().all().ToBoolean());
        foreach (var (name, parameter) in slot.named_parameters().Where(p => p.parameter.requires_grad))
            Assert.IsGreaterThan(0, parameter.grad!.abs().max().ToDouble(), name);
        foreach (var tables in slot.modules().OfType<ExpertTables>())
        {
            foreach (var (name, _) in tables.Tables)
                Assert.IsGreaterThan(0, tables.Gradient!.ToDense(name).abs().max().ToDouble(), name);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Slots))]
    public void CostIsThatOfTheModule(FeedForwardSlotOptions options)
    {
        using var slot = options.Create(Width);
        var cost = options.GetCost(Width);
        Assert.AreEqual(slot.parameters().Sum(parameter => parameter.numel()), cost.Parameters);
        Assert.AreEqual(
            slot.modules()
                .OfType<ExpertTables>()
                .Sum(tables => tables.Tables.Sum(table => table.Value.numel() * table.Value.element_size())),
            cost.TableBytes);
        Assert.IsGreaterThanOrEqualTo(cost.MacsPerToken / 2, cost.ActiveParameters);
    }

    [TestMethod]
    public void CostsAreThosePublishedOrDerived()
    {
        // 2·N·d + 2·n·d_k/2 + (d·h·d_k + h·d_k) + 2·h·d_k, and 2·d·h·d_k + 2·h·d_k·n + 4·h·k·d operations a token.
        var peer = new PeerOptions().GetCost(256);
        Assert.AreEqual((2L * 1024 * 1024 * 256) + (1024 * 128) + (256 * 1024) + 1024 + 2048, peer.Parameters);
        Assert.AreEqual((256 * 1024) + (1024 * 1024) + (2 * 128 * 256), peer.MacsPerToken);
        Assert.AreEqual(2L * 1024 * 1024 * 256 * 4, peer.TableBytes);
        Assert.AreEqual((4L * 1024 * 1024 * 256 * 4) + (1024 * 1024 * 4), peer.OptimizerBytes);
        var half = new PeerOptions
        {
            Tables = new() { Precision = TablePrecision.BFloat16, SecondMoment = SecondMoment.PerRow },
        }.GetCost(256);
        Assert.AreEqual(peer.TableBytes / 2, half.TableBytes);
        Assert.AreEqual((2L * 1024 * 1024 * 257 * 4) + (1024 * 1024 * 4), half.OptimizerBytes);
        Assert.AreEqual(2L * 256 * 1024, new DenseSlotOptions().GetCost(256).MacsPerToken);
        Assert.AreEqual(
            (128L * 256) + (2 * 256 * 1024),
            new ExpertChoiceOptions().GetCost(256).MacsPerToken,
            "with a capacity factor of 1, that of the dense network and the router");
    }

    [TestMethod]
    [DynamicData(nameof(Causal))]
    public void InEvaluationATokenDoesNotChangeTheOthers(FeedForwardSlotOptions options)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(4, CPU);
        using var slot = options.Create(Width);
        slot.forward(randn(50, Width));   // running means that are not the batch's
        slot.eval();
        var x_TD = randn(12, Width);
        var before_TD = slot.forward(x_TD).Output_TD;
        var changed_TD = x_TD.clone();
        changed_TD[11] = randn(Width) * 5;
        var after_TD = slot.forward(changed_TD).Output_TD;
        Assert.IsTrue(before_TD.narrow(0, 0, 11).equal(after_TD.narrow(0, 0, 11)).all().ToBoolean(), "bit by bit");
        Assert.IsGreaterThan(1e-3, (before_TD[11] - after_TD[11]).abs().max().ToDouble());
    }

    [TestMethod]
    [DynamicData(nameof(Slots))]
    public void PaddingIsAsIfItWereNotThere(FeedForwardSlotOptions options)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        using var padded = options.Create(Width);
        using var plain = options.Create(Width);
        plain.load_state_dict(padded.state_dict());
        var x_TD = randn(10, Width);
        var garbage_TD = cat([x_TD.narrow(0, 0, 4), full([3, Width], 1e6f), x_TD.narrow(0, 4, 6)], 0).requires_grad_(true);
        var mask_T = tensor(new[] { true, true, true, true, false, false, false, true, true, true, true, true, true });

        var expected = plain.forward(x_TD);
        var actual = padded.forward(garbage_TD, mask_T);

        TensorAssert.AreClose(
            expected.Output_TD, cat([actual.Output_TD.narrow(0, 0, 4), actual.Output_TD.narrow(0, 7, 6)], 0), 1e-6, "outputs");
        Assert.AreEqual(0, actual.Output_TD.narrow(0, 4, 3).abs().max().ToDouble(), "outputs of padding");
        TensorAssert.AreClose(expected.AuxiliaryLoss ?? zeros([]), actual.AuxiliaryLoss ?? zeros([]), 1e-6, "loss");
        if (expected.Selection is { } selection)
            TensorAssert.AreEqual(selection.ExpertIds.flatten().data<long>().ToArray(), actual.Selection!.ExpertIds, "experts");
        foreach (var (wanted, found) in plain.named_buffers().Zip(padded.named_buffers()))
            TensorAssert.AreClose(wanted.buffer, found.buffer, 1e-6, wanted.name);
        actual.Output_TD.square().sum().backward();
        Assert.AreEqual(0, garbage_TD.grad!.narrow(0, 4, 3).abs().max().ToDouble(), "gradient of padding");
        Assert.IsTrue(garbage_TD.grad.isfinite().all().ToBoolean());
    }

    [TestMethod]
    [DynamicData(nameof(Slots))]
    public void ABatchOfOneAndABatchOfPaddingAlone(FeedForwardSlotOptions options)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(6, CPU);
        using var slot = options.Create(Width);
        var one = slot.forward(randn(1, Width));
        Assert.IsTrue(one.Output_TD.isfinite().all().ToBoolean());
        one.Output_TD.sum().backward();
        var none = slot.forward(randn(3, Width), zeros([3], @bool));
        Assert.AreEqual(0, none.Output_TD.abs().max().ToDouble());
        Assert.IsTrue((none.AuxiliaryLoss ?? zeros([])).isfinite().ToBoolean());
        Assert.AreEqual(0, none.Selection?.ExpertIds.numel() ?? 0);
    }

    [TestMethod]
    [DynamicData(nameof(Slots))]
    public void SavedAndLoadedItComputesTheSame(FeedForwardSlotOptions options)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var seed = new SeedScope(7, CPU);
        using var first = options.Create(Width);
        first.forward(randn(30, Width));
        using var file = new MemoryStream();
        ModuleWeights.Save(first, file);

        var read = JsonSerializer.Deserialize<FeedForwardSlotOptions>(JsonSerializer.Serialize(options))!;
        Assert.AreEqual(options, read);
        using var second = read.Create(Width);
        file.Position = 0;
        ModuleWeights.Load(second, file, file.Length);
        var x_TD = randn(9, Width);
        first.eval();
        second.eval();
        Assert.IsTrue(first.forward(x_TD).Output_TD.equal(second.forward(x_TD).Output_TD).all().ToBoolean());
    }

    [TestMethod]
    public void TheKeysLearnAtTheRateOfTheOptions()
    {
        foreach (
            var options in new FeedForwardSlotOptions[]
            {
                new PeerOptions
                {
                    Experts = 16,
                    ExpertsPerHead = 2,
                    KeyLearningRateScale = 0.25,
                },
                new ProductKeyMemoryOptions
                {
                    Memories = 16,
                    MemoriesPerHead = 2,
                    KeyLearningRateScale = 0.25,
                },
            }
        )
        {
            using var layer = options.Create(Width);
            Assert.AreEqual(0.25, layer.modules().OfType<ProductKeys>().Single().LearningRateScale);
        }
    }

    [TestMethod]
    public void OptionsOutOfRangeAreNamed()
    {
        Refused("HiddenWidth is 0", new DenseSlotOptions { HiddenWidth = 0 });
        Refused("BalanceLossWeight is -1", new MixtureSlotOptions { BalanceLossWeight = -1 });
        Refused("Experts is 0", new ExpertChoiceOptions { Experts = 0 });
        Refused(
            "CapacityFactor is 5; it must be above 0 and at most Experts (4)", new ExpertChoiceOptions { Experts = 4, CapacityFactor = 5 });
        Refused("Memories is 63; it must be a perfect square", new ProductKeyMemoryOptions { Memories = 63 });
        Refused("MemoriesPerHead is 9", new ProductKeyMemoryOptions { Memories = 64, MemoriesPerHead = 9 });
        Refused("Experts is 63; it must be a perfect square", new PeerOptions { Experts = 63 });
        Refused("ExpertsPerHead is 9", new PeerOptions { Experts = 64, ExpertsPerHead = 9 });
        Refused("QueryWidth is 7", new PeerOptions { QueryWidth = 7 });
        Refused("KeyLearningRateScale is -1", new PeerOptions { KeyLearningRateScale = -1 });
        Refused("KeyLearningRateScale is NaN", new ProductKeyMemoryOptions { KeyLearningRateScale = double.NaN });
        Refused("LearningRate is -1", new PeerOptions { Tables = new() { LearningRate = -1 } });
        Refused("WeightDecay is NaN", new PeerOptions { Tables = new() { WeightDecay = double.NaN } });

        static void Refused(string message, FeedForwardSlotOptions options) =>
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => options.Create(Width)).Message);
    }

    [TestMethod]
    public void InputsThatDoNotFitAreRefused()
    {
        using var scope = NewDisposeScope();
        using var slot = new DenseSlotOptions().Create(Width);
        Assert.Contains(
            "(2, 3, 8); (T, D) is wanted", Assert.ThrowsExactly<ArgumentException>(() => slot.forward(zeros(2, 3, Width))).Message);
        Assert.Contains(
            "The mask is Float32 (3); one Bool for each of the 3 tokens",
            Assert.ThrowsExactly<ArgumentException>(() => slot.forward(zeros(3, Width), ones(3))).Message);
        Assert.Contains(
            "The mask is Bool (2); one Bool for each of the 3 tokens",
            Assert.ThrowsExactly<ArgumentException>(() => slot.forward(zeros(3, Width), ones([2], @bool))).Message);
    }
}
