using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Tests.Shared;

namespace Microsoft.ML.MoE.Tests.House;

/// <summary>What CONTRIBUTING says of parameter lists.</summary>
[TestClass]
public sealed class ParameterListTests
{
    // What stays in registers from one call to the next in the innermost loops; a record of it would go through memory.
    private static readonly string[] Longer =
    [
        "Microsoft.ML.MoE.Kernels.Gemm.ManagedGemm.Multiply (10)",
        "Microsoft.ML.MoE.Kernels.Gemm.ManagedGemm.MultiplyNarrow (10)",
        "Microsoft.ML.MoE.Kernels.Gemm.VectorTranspose.Join (8)",
    ];

    [TestMethod]
    public void NoneIsLongerThanSeven()
    {
        var found = ParameterLists.LongerThan(7, typeof(WideNet).Assembly, "Microsoft.ML.MoE").Except(Longer).ToArray();
        Assert.HasCount(0, found, $"What travels together is a record:\n{string.Join('\n', found)}");
    }

    [TestMethod]
    public void ListsOfEveryKindAreFound()
    {
        var found = ParameterLists.LongerThan(2, typeof(ParameterListTests).Assembly, $"{typeof(ParameterListTests)}");
        CollectionAssert.AreEquivalent(
            new[] { "Record..ctor (3)", "Delegate.Invoke (3)", "Method (4)" },
            found.Select(line => line[(line.LastIndexOf("Tests.", StringComparison.Ordinal) + 6)..]).Where(line => !line.Contains('<')).ToArray());
        Assert.IsTrue(found.Any(line => line.Contains(">g__Local", StringComparison.Ordinal) && line.EndsWith("(3)", StringComparison.Ordinal)));
    }

    private static int Method(int one, int two, int three, int four)
    {
        return Local(two, three, four);

        int Local(int a, int b, int c) => one + a + b + c;
    }

    private delegate int Delegate(int one, int two, int three);

    private sealed record Record(int One, int Two, Delegate Three)
    {
        public int Sum => Three(One, Two, Method(1, 2, 3, 4));
    }
}
