using System.Reflection;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Estimators.Tests.HeldNumbers;

/// <summary>
/// A number on its way into libtorch or out of it can be freed while libtorch reads it, unless something holds it
/// (<see cref="TensorNumbers"/>). Seen in one of some five hundred small trainings: as an exception, or unseen as a wrong number. No trial
/// shows that it cannot happen, so the compiled code is read.
/// </summary>
[TestClass]
public class HeldNumbersTests
{
    private static readonly ScalarMakers Makers = new();

    [TestMethod]
    [DataRow(typeof(TorchRuntime), DisplayName = "Microsoft.ML.MoE")]
    [DataRow(typeof(WideNetImageClassifier), DisplayName = "Microsoft.ML.MoE.Estimators")]
    public void NothingButTensorNumbersMakesAScalar(Type ofAssembly)
    {
        var methods = MethodCalls
            .MethodsOf(ofAssembly.Assembly)
            .Where(method =>
                method.DeclaringType != typeof(TensorNumbers) && !(method.DeclaringType == typeof(TorchScripts) && method.Name == "Invoke")
            );   // takes scalars that are held, and refuses numbers
        Assert.AreEqual("", string.Join(Environment.NewLine, Makers.UsesIn(methods)), $"use {nameof(TensorNumbers)} instead");
    }

    [TestMethod]
    [DataRow(nameof(Examples.Add))]
    [DataRow(nameof(Examples.AddByAssignment))]
    [DataRow(nameof(Examples.AddInPlace))]
    [DataRow(nameof(Examples.AddInALambda))]
    [DataRow(nameof(Examples.MultiplyByANumber))]
    [DataRow(nameof(Examples.Compare))]
    [DataRow(nameof(Examples.Convert))]
    [DataRow(nameof(Examples.Square))]
    [DataRow(nameof(Examples.Count))]
    [DataRow(nameof(Examples.ReadAFloat))]
    [DataRow(nameof(Examples.NormalizeByBatch))]
    [DataRow(nameof(Examples.Optimize))]
    public void ACallThatMakesAScalarIsFound(string example) => Assert.AreNotEqual("", string.Join(", ", Makers.UsesIn(Bodies(example))));

    [TestMethod]
    [DataRow(nameof(Examples.SubtractMultiplyAndDivide))]
    [DataRow(nameof(Examples.ReadFromMemory))]
    [DataRow(nameof(Examples.Normalize))]
    public void ACallThatMakesNoneIsNotFound(string example) => Assert.AreEqual("", string.Join(", ", Makers.UsesIn(Bodies(example))));

    // A method, and the lambdas in it.
    private static IEnumerable<MethodBase> Bodies(string example) =>
        MethodCalls.MethodsOf(typeof(Examples).Assembly).Where(method =>
            (method.DeclaringType == typeof(Examples) && method.Name == example)
            || (method.DeclaringType?.DeclaringType == typeof(Examples) && method.Name.Contains($"<{example}>", StringComparison.Ordinal)));

    private static class Examples
    {
        public static Tensor Add(Tensor x) => x + x;

        public static Tensor AddByAssignment(Tensor x) => x += x;

        public static Tensor AddInPlace(Tensor x) => x.add_(x);

        public static Tensor AddInALambda(Tensor[] all) => all.Aggregate((sum, next) => sum + next);

        public static Tensor MultiplyByANumber(Tensor x) => x * 0.5;

        public static Tensor Compare(Tensor x) => x > 0;

        public static Scalar Convert(double number) => number;

        public static Tensor Square(Tensor x) => x.square();

        public static Tensor Count(Scalar end) => arange(end);

        public static float ReadAFloat(Tensor x) => x.ToSingle();

        public static nn.Module<Tensor, Tensor> NormalizeByBatch() => nn.BatchNorm1d(4);

        public static Adagrad Optimize(Parameter[] parameters) => optim.Adagrad(parameters);

        public static Tensor SubtractMultiplyAndDivide(Tensor x) => (x - x) * x / x;

        public static long ReadFromMemory(Tensor x) => x.item<long>();

        public static nn.Module<Tensor, Tensor> Normalize() => nn.LayerNorm(4);
    }
}
