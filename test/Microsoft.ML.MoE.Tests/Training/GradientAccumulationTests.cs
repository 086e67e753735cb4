using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>Several small batches to an update train like one large batch.</summary>
[TestClass]
public sealed class GradientAccumulationTests
{
    private static readonly TrainingOptions Options = new() { Epochs = 3, LearningRate = 0.05 };

    [TestMethod]
    [DataRow(1e-3, DisplayName = "every update clipped")]
    [DataRow(1e3, DisplayName = "none clipped")]
    [DataRow(null, DisplayName = "without clipping")]
    public void TheUpdatesAreThoseOfTheBatchesTogether(double? clipNorm)
    {
        using var scope = NewDisposeScope();
        var options = Options.With(o => o.GradientClipNorm = clipNorm);
        // 3 + 3 + 1 batches of an epoch, of unequal sizes.
        var (weights, result) = Train([5, 16, 9, 1, 8, 8, 12], options.With(o => o.GradientAccumulation = 3));
        var (expected, expectedResult) = Train([30, 17, 12], options);

        Assert.AreEqual(9, result.Steps);
        TensorAssert.AreClose(expected, weights, 1e-6);
        for (var epoch = 0; epoch < 3; epoch++)
        {
            var (actual, wanted) = (result.Epochs[epoch].Averages, expectedResult.Epochs[epoch].Averages);
            Assert.AreEqual(wanted.Loss, actual.Loss, 1e-5);
            Assert.AreEqual(wanted.Samples, actual.Samples);
            Assert.AreEqual(wanted.GradientNorm ?? 0, actual.GradientNorm ?? 0, 1e-5);
            Assert.AreEqual(expectedResult.Epochs[epoch].LearningRate, result.Epochs[epoch].LearningRate, 1e-12);
        }
    }

    [TestMethod]
    public void AStepLimitCountsUpdates()
    {
        using var scope = NewDisposeScope();
        var (_, result) = Train([4, 4, 4, 4, 4], Options.With(o => (o.GradientAccumulation, o.MaxSteps) = (2, 4)));
        Assert.AreEqual(4, result.Steps);
        Assert.AreEqual(
            20 + 8, result.Epochs.Sum(epoch => epoch.Averages.Samples), "three updates, the last of one batch, then one more of two");
    }

    [TestMethod]
    public void LoadsOfTheBatchesAddUp()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(3, 1);
        var loop = new TrainingLoop<RegressionBatch>(
            model,
            batch =>
                batch.SquaredError(model) with
                {
                    ExpertCounts_E = [tensor(new long[] { 3, 1 }), tensor(new long[] { 1, 2, 3 })],
                    DroppedCounts_B = tensor(new long[] { 1, 0 }),
                },
            Options.With(o => (o.Epochs, o.GradientAccumulation) = (1, 2)));
        var loads = loop.Run(new SizedBatches([4, 4, 4])).Epochs[0].Averages.ExpertLoad!;
        Assert.HasCount(2, loads);
        CollectionAssert.AreEqual(new long[] { 9, 3 }, loads[0].Counts.ToArray());
        CollectionAssert.AreEqual(new long[] { 3, 6, 9 }, loads[1].Counts.ToArray(), "layers may differ in their number of experts");
        Assert.AreEqual(3, loads[0].Dropped);
        Assert.AreEqual(0, loads[1].Dropped);
    }

    [TestMethod]
    public void AThousandBatchesLeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(3, 1);
        var before = LiveTensors.Count();
        _ = new TrainingLoop<RegressionBatch>(
            model,
            batch =>
                batch.SquaredError(model) with
                {
                    ExpertCounts_E = [ones([3], int64), ones([2], int64)],
                    DroppedCounts_B = ones([2], int64),
                },
            Options.With(o => (o.Epochs, o.GradientAccumulation) = (10, 3))
        ).Run(new RegressionBatches(batches: 100));
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    private static (Tensor Weights, TrainingResult Result) Train(int[] sizes, TrainingOptions options)
    {
        using var model = nn.Linear(3, 1);
        using (no_grad())
        {
            model.weight!.fill_(0.5);
            model.bias!.zero_();
        }

        var result = new TrainingLoop<RegressionBatch>(model, batch => batch.SquaredError(model), options).Run(new SizedBatches(sizes));
        return (cat([model.weight!.detach().flatten(), model.bias!.detach()]).clone(), result);
    }

    /// <summary>The same samples in the same order every epoch, cut into batches of given sizes.</summary>
    private sealed class SizedBatches(int[] sizes) : IBatchSource<RegressionBatch>
    {
        public int? BatchesPerEpoch => sizes.Length;

        public IEnumerable<RegressionBatch> ReadEpoch(int epoch, CancellationToken cancellationToken)
        {
            using var generator = new Generator(1);
            using var x = randn([sizes.Sum(), 3], generator: generator);
            using var y = x.sum([1], keepdim: true);
            var first = 0;
            foreach (var size in sizes)
            {
                using var scope = NewDisposeScope();
                yield return new(
                    x.narrow(0, first, size).clone().DetachFromDisposeScope(), y.narrow(0, first, size).clone().DetachFromDisposeScope());
                first += size;
            }
        }
    }
}
