using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
public class TensorNumbersTests
{
    // What each stands for, as TorchSharp writes it.
    private static readonly Dictionary<string, (Func<Tensor, Tensor> Ours, Func<Tensor, Tensor> Theirs)> Operations = new()
    {
        ["x + y"] = (x => x.Plus(x.flip(0)), x => x + x.flip(0)),
        ["x + 0.3"] = (x => x.Plus(0.3), x => x + 0.3),
        ["x + 3"] = (x => x.Plus(3), x => x + 3),
        ["x - 0.3"] = (x => x.Minus(0.3), x => x - 0.3),
        ["x - 3"] = (x => x.Minus(3), x => x - 3),
        ["0.3 - x"] = (x => x.SubtractedFrom(0.3), x => 0.3 - x),
        ["3 - x"] = (x => x.SubtractedFrom(3), x => 3 - x),
        ["x · 0.3"] = (x => x.Times(0.3), x => x * 0.3),
        ["x · 3"] = (x => x.Times(3), x => x * 3),
        ["x / 3"] = (x => x.DividedBy(3), x => x / 3),
        ["⌊x / 3⌋"] = (x => x.FloorDividedBy(3), x => x.div(3, RoundingMode.floor)),
        ["x mod 3"] = (x => x.Modulo(3), x => x.remainder(3)),
        ["x²"] = (x => x.Squared(), x => x.square()),
        ["x + 0.3 · y · z"] = (x => x.PlusProduct(x.flip(0), x, 3), x => x.addcmul(x.flip(0), x, 3)),
        ["clamp(-0.3, 0.7)"] = (x => x.Clamp(-0.3, 0.7), x => x.clamp(-0.3, 0.7)),
        ["clamp(1, none)"] = (x => x.Clamp(min: 1), x => x.clamp(min: 1)),
        ["clamp(none, 2)"] = (x => x.Clamp(max: 2), x => x.clamp(max: 2)),
        ["x += y"] = (x => x.clone().PlusInPlace(x.flip(0)), x => x.clone().add_(x.flip(0))),
        ["x += 3 · y"] = (x => x.clone().PlusInPlace(x.flip(0), 3), x => x.clone().add_(x.flip(0), alpha: 3)),
        ["x += 3"] = (x => x.clone().PlusInPlace(3), x => x.clone().add_(3)),
        ["index_add"] = (
            x => zeros_like(x).IndexAddInPlace(0, tensor(new long[] { 1, 0, 1, 2, 2 }), x),
            x => zeros_like(x).index_add_(0, tensor(new long[] { 1, 0, 1, 2, 2 }), x, 1)),
        ["masked fill"] = (x => x.MaskedFill(x.GreaterThan(0), 7), x => x.masked_fill(x > 0, 7)),
        ["x = 2"] = (x => x.EqualTo(2), x => x.eq(2)),
        ["x ≠ 2"] = (x => x.NotEqualTo(2), x => x.ne(2)),
        ["x > 0.5"] = (x => x.GreaterThan(0.5), x => x.gt(0.5)),
        ["x ≥ 0.5"] = (x => x.AtLeast(0.5), x => x.ge(0.5)),
        ["x < 0.5"] = (x => x.LessThan(0.5), x => x.lt(0.5)),
        ["x < 2"] = (x => x.LessThan(2), x => x.lt(2)),
        ["filled like"] = (x => FilledLike(x, 2), x => full_like(x, 2)),
    };

    // Of floating-point numbers alone.
    private static readonly Dictionary<string, (Func<Tensor, Tensor> Ours, Func<Tensor, Tensor> Theirs)> InPlace = new()
    {
        ["x += 0.3 · y"] = (x => x.clone().PlusInPlace(x.flip(0), 0.3), x => x.clone().add_(x.flip(0), alpha: 0.3)),
        ["x += 0.3"] = (x => x.clone().PlusInPlace(0.3), x => x.clone().add_(0.3)),
        ["x *= 0.3"] = (x => x.clone().TimesInPlace(0.3), x => x.clone().mul_(0.3)),
        ["x /= 3"] = (x => x.clone().DividedByInPlace(3), x => x.clone().div_(3)),
        ["clamp_(0, 1)"] = (x => x.clone().ClampInPlace(0, 1), x => x.clone().clamp_(0, 1)),
    };

    public static IEnumerable<object[]> Cases =>
        from type in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Int64 }
        from name in type == ScalarType.Int64 ? Operations.Keys.Where(name => name != "x += 3 · y") : Operations.Keys.Concat(InPlace.Keys)
        select new object[] { name, type };

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void ComputesWhatTorchSharpsOperatorDoes(string name, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var (ours, theirs) = Operations.TryGetValue(name, out var operation) ? operation : InPlace[name];
        var x = tensor(new[] { -2.5f, -0.5f, 0, 2, 1e5f }).to_type(type);
        var (expected, expectedGradient) = Run(theirs);
        var (actual, gradient) = Run(ours);
        Assert.AreEqual(expected.dtype, actual.dtype);
        CollectionAssert.AreEqual(Numbers(expected), Numbers(actual));
        if (expectedGradient is not null)
            CollectionAssert.AreEqual(Numbers(expectedGradient), Numbers(gradient!));

        (Tensor, Tensor?) Run(Func<Tensor, Tensor> compute)
        {
            var input = x.clone().requires_grad_(x.is_floating_point());
            var output = compute(input);
            if (!output.requires_grad)
                return (output, null);
            output.backward([arange(1, 6).to_type(output.dtype)]);
            return (output.detach(), input.grad);
        }
    }

    private static double[] Numbers(Tensor x) => x.to_type(float64).data<double>().ToArray();

    [TestMethod]
    public void RangesAndFilledTensorsHaveTheTypeThatIsAskedFor()
    {
        using var scope = NewDisposeScope();
        CollectionAssert.AreEqual(new[] { 0L, 1, 2 }, Range(3).data<long>().ToArray());
        CollectionAssert.AreEqual(new[] { 0.0, 1, 2 }, Range(3, float64).data<double>().ToArray());
        Assert.AreEqual(0, Range(0).numel());
        CollectionAssert.AreEqual(new[] { 0.25f, 0.25f }, Filled([2], 0.25, float32).data<float>().ToArray());
        CollectionAssert.AreEqual(new[] { 9007199254740991L }, Filled([1], 9007199254740991, int64).data<long>().ToArray());
    }

    [TestMethod]
    public void ReadsTheNumberOfATensorOfAnyType()
    {
        using var scope = NewDisposeScope();
        Assert.AreEqual(0.1f, tensor(0.1f, requires_grad: true).ReadSingle());
        Assert.AreEqual((double)0.1f, tensor(0.1f).ReadDouble());
        Assert.AreEqual(0.15625f, tensor(0.15625f).to_type(bfloat16).ReadSingle());
        Assert.AreEqual(9007199254740993L, tensor(9007199254740993L).ReadInt64());
        Assert.AreEqual(1L, tensor(true).ReadInt64());
        Assert.AreEqual(7L, tensor(7).ReadInt64());
    }

    [TestMethod]
    public void ReadingANumberLeavesNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        var x = tensor(0.5f);
        var before = Tensor.TotalCount;
        for (var i = 0; i < 100; i++)
            _ = x.ReadDouble() + x.ReadSingle();
        Assert.AreEqual(before, Tensor.TotalCount);
    }
}
