using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Estimators.Tests.Data;

/// <summary>Numbers of a column to the model's input.</summary>
[TestClass]
public sealed class PixelNormalizationTests
{
    private static readonly PixelNormalization Normalization = new([10, 127.5f, 0.3f], [3, 64, 0.7f]);

    [TestMethod]
    [DataRow(ScalarType.Byte)]
    [DataRow(ScalarType.Float32)]
    public void EveryChannelIsShiftedAndScaled_BitForBitAsLibtorchWould(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var numbers_NCHW = (arange(2 * 3 * 5 * 7) % 256).view(2, 3, 5, 7).to_type(type);
        var mean_C11 = tensor(Normalization.Mean).view(3, 1, 1);
        var scale_C11 = (1 / tensor(Normalization.StandardDeviation)).view(3, 1, 1);
        var expected_NCHW = (numbers_NCHW.to_type(ScalarType.Float32) - mean_C11) * scale_C11;
        Assert.IsTrue(expected_NCHW.equal(Normalization.Apply(numbers_NCHW, CPU)).all().ToBoolean());

        // A view of every other image is not contiguous.
        var everyOther_NCHW = cat([numbers_NCHW, numbers_NCHW], 0)[TensorIndex.Slice(null, null, 2)];
        Assert.IsTrue(
            expected_NCHW[TensorIndex.Slice(0, 1)]
                .equal(Normalization.Apply(everyOther_NCHW, CPU)[TensorIndex.Slice(0, 1)])
                .all()
                .ToBoolean());
    }
}
