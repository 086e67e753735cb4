using System.Globalization;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests;

/// <summary>Assertions on tensors.</summary>
internal static class TensorAssert
{
    /// <summary>Same shape, and every element within <paramref name="tolerance"/> · (1 + |expected|).</summary>
    public static void AreClose(Tensor expected, Tensor actual, double tolerance = 1e-5, string what = "tensor")
    {
        using var scope = NewDisposeScope();
        CollectionAssert.AreEqual(expected.shape, actual.shape, $"{what}: shapes differ");
        if (expected.numel() == 0)
            return;
        var (wanted, found) = (expected.detach().cpu().to_type(float64), actual.detach().cpu().to_type(float64));
        var excess = ((found - wanted).abs() / (1 + wanted.abs())).max().ToDouble();   // NaN compares false below
        Assert.IsTrue(
            excess <= tolerance, string.Create(CultureInfo.InvariantCulture, $"{what}: differs by {excess:g3}, allowed {tolerance:g3}"));
    }

    /// <summary>Same shape and elements.</summary>
    public static void AreEqual(long[] expected, Tensor actual, string what = "tensor") =>
        CollectionAssert.AreEqual(expected, actual.detach().cpu().to_type(int64).flatten().data<long>().ToArray(), what);
}
