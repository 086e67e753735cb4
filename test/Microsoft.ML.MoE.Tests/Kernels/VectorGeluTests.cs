using System.Runtime.Intrinsics;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Kernels;

[TestClass]
[RequiresAvx2]
public sealed class VectorGeluTests
{
    [TestMethod]
    public void EqualsTheDefinitionInFloat64()
    {
        using var scope = NewDisposeScope();
        var x = linspace(-14, 14, 16 * 4000).to_type(float32);
        var exact = x.to_type(float64).requires_grad_(true);
        var value = nn.functional.gelu(exact);
        value.sum().backward();
        var numbers = x.data<float>().ToArray();
        var (values, derivatives) = (value.data<double>().ToArray(), exact.grad!.data<double>().ToArray());
        for (var i = 0; i < numbers.Length; i += Vector512<float>.Count)
        {
            var v = Vector512.Create<float>(numbers.AsSpan(i));
            var (actual, derivative) = (VectorGelu.Value(v), VectorGelu.Derivative(v));
            var both = VectorGelu.ValueAndDerivative(v);
            for (var j = 0; j < Vector512<float>.Count; j++)
            {
                // Relative to the size of the argument: exact to about two units in the last place of float32.
                Assert.AreEqual(values[i + j], actual[j], 2.5e-7 * Math.Max(1, Math.Abs(values[i + j])), $"gelu({numbers[i + j]})");
                Assert.AreEqual(derivatives[i + j], derivative[j], 4e-7, $"gelu'({numbers[i + j]})");
                Assert.AreEqual((actual[j], derivative[j]), (both.Value[j], both.Derivative[j]));
            }
        }
    }

    [TestMethod]
    public void LargeArgumentsAndNaNBehave()
    {
        var x = Vector512.Create(0f, 100, -100, 1e10f, -1e10f, float.PositiveInfinity, float.NaN, -0f, 0, 0, 0, 0, 0, 0, 0, 0);
        var (value, derivative) = (VectorGelu.Value(x), VectorGelu.Derivative(x));
        Assert.AreEqual(0, value[0]);
        Assert.AreEqual(0.5, derivative[0], 1e-7);
        Assert.AreEqual(100, value[1]);
        Assert.AreEqual(0, value[2], 1e-30);
        Assert.AreEqual(1e10f, value[3]);
        Assert.AreEqual(0, value[4], 1e-30);
        Assert.AreEqual(1, derivative[3]);
        Assert.AreEqual(0, derivative[4], 1e-30);
        Assert.AreEqual(float.PositiveInfinity, value[5]);
        Assert.IsTrue(float.IsNaN(value[6]));
        Assert.IsTrue(float.IsNaN(derivative[6]));
    }
}
