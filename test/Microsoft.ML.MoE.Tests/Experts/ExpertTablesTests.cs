using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Tables;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Experts;

[TestClass]
public sealed class ExpertTablesTests
{
    /// <summary>Tokens, experts of a token, width, experts.</summary>
    private static readonly (int Tokens, int Choices, int Width, int Experts)[] Sizes =
    [
        (7, 6, 20, 30),
        (1, 1, 1, 1),
        (5, 16, 16, 4),     // rows that several pairs share
        (3, 37, 40, 1000),
        (4, 3, 300, 9),
        (0, 5, 8, 10),
    ];

    public static IEnumerable<object[]> Cases =>
        from size in Sizes
        from kind in Enum.GetValues<ExpertKind>()
        from activation in Enum.GetValues<NeuronActivation>()
        where kind != ExpertKind.Value || activation == NeuronActivation.Gelu
        select new object[] { size.Tokens, size.Choices, size.Width, size.Experts, kind, activation };

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void EqualsTheDefinitionInOutputAndEveryGradient(
        int tokens, int choices, int width, int experts, ExpertKind kind, NeuronActivation activation)
    {
        CompareWithTheDefinition(tokens, choices, width, experts, kind, activation, (tables, x_TD, gates_TM, ids_TM) =>
            tables.ForwardManaged(x_TD, gates_TM, ids_TM));
        CompareWithTheDefinition(tokens, choices, width, experts, kind, activation, (tables, x_TD, gates_TM, ids_TM) =>
            tables.ForwardByTorch(x_TD, gates_TM, ids_TM));

        // A token at a time.
        CompareWithTheDefinition(tokens, choices, width, experts, kind, activation, (tables, x_TD, gates_TM, ids_TM) =>
            tables.ForwardByTorch(new TorchExpertTables(tables, chunkNumbers: 1), x_TD, gates_TM, ids_TM));
    }

    [TestMethod]
    [DataRow(ExpertKind.Value)]
    [DataRow(ExpertKind.Neuron)]
    [DataRow(ExpertKind.GatedNeuron)]
    public void InBFloat16OnlyTheTablesAreRounded(ExpertKind kind)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(13, CPU);
        using var rounded = new ExpertTables(kind, 50, 37, NeuronActivation.Gelu, new() { Precision = TablePrecision.BFloat16 });
        using var exact = new ExpertTables(kind, 50, 37, NeuronActivation.Gelu, new());
        using (no_grad())
        {
            foreach (var (from, to) in rounded.Tables.Zip(exact.Tables))
                to.Value.copy_(from.Value);
        }
        var (x_TD, gates_TM, ids_TM) = Inputs(11, 19, 37, 50);
        var expected = Differentiate(exact, exact.ForwardManaged, x_TD, gates_TM, ids_TM);
        foreach (var forward in new Func<Tensor, Tensor, Tensor, Tensor>[] { rounded.ForwardManaged, rounded.ForwardByTorch })
        {
            foreach (var (name, value) in Differentiate(rounded, forward, x_TD, gates_TM, ids_TM))
                TensorAssert.AreClose(expected[name], value, 1e-5, name);
        }
    }

    [TestMethod]
    public void ResultsDoNotDependOnTheNumberOfThreads()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(14, CPU);
        using var tables = new ExpertTables(ExpertKind.GatedNeuron, 40, 48, NeuronActivation.Gelu, new());
        var (x_TD, gates_TM, ids_TM) = Inputs(33, 20, 48, 40);
        var results = new List<Dictionary<string, Tensor>>();
        foreach (var threads in new[] { 1, 2, 5 })
        {
            using var limit = new ThreadScope(threads);
            results.Add(Differentiate(tables, tables.ForwardManaged, x_TD, gates_TM, ids_TM));
        }
        foreach (var other in results.Skip(1))
        {
            foreach (var (name, value) in other)
                Assert.IsTrue(results[0][name].equal(value).all().ToBoolean(), name);
        }
    }

    [TestMethod]
    [RequiresMemory(8)]
    public void ATableOfMoreThanTwoGigabytesIsReadToItsEnd()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(15, CPU);
        const int Experts = 530_000, Width = 1024;   // 2.17 GB
        using var tables = new ExpertTables(ExpertKind.Value, Experts, Width, NeuronActivation.Gelu, new());
        var ids_TM = tensor(new[] { 0L, Experts - 1, Experts / 2, Experts - 1 }, [2, 2]);
        var gates_TM = tensor(new[] { 1f, 2, 3, 4 }, [2, 2]);
        var table_ND = tables.Tables[0].Value;
        var expected_TD = stack([table_ND[0] + (2 * table_ND[Experts - 1]), (3 * table_ND[Experts / 2]) + (4 * table_ND[Experts - 1])]);
        TensorAssert.AreClose(expected_TD, tables.forward(zeros(2, Width), gates_TM, ids_TM), 1e-6);
        Assert.IsGreaterThan(0.1, table_ND[Experts - 1].abs().max().ToDouble() * Math.Sqrt(Width), "the last row was made");
    }

    [TestMethod]
    public void AModuleThatWasCastToAnotherTypeIsRefused()
    {
        using var scope = NewDisposeScope();
        using var tables = new ExpertTables(ExpertKind.Neuron, 10, 4, NeuronActivation.Gelu, new());
        tables.to(float64);
        Assert.Contains(
            "Table 'down' is Float64",
            Assert.ThrowsExactly<InvalidOperationException>(() => tables.forward(zeros(2, 4), zeros(2, 3), zeros([2, 3], int64))).Message);
    }

    private static void CompareWithTheDefinition(
        int tokens,
        int choices,
        int width,
        int experts,
        ExpertKind kind,
        NeuronActivation activation,
        Func<ExpertTables, Tensor, Tensor, Tensor, Tensor> forward)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(12, CPU);
        using var tables = new ExpertTables(kind, experts, width, activation, new());
        var (x_TD, gates_TM, ids_TM) = Inputs(tokens, choices, width, experts);
        var actual = Differentiate(tables, (x, gates, ids) => forward(tables, x, gates, ids), x_TD, gates_TM, ids_TM);

        // Gathered rows, in float64, with dense gradients.
        var exact = tables.Tables.ToDictionary(table => table.Key, table => table.Value.detach().to_type(float64).requires_grad_(true));
        var (exactX_TD, exactGates_TM) = (
            x_TD.detach().to_type(float64).requires_grad_(true), gates_TM.detach().to_type(float64).requires_grad_(true));
        Tensor Rows(string table) => exact[table].index_select(0, ids_TM.flatten()).view(tokens, choices, width);
        Tensor Product(string table) => (Rows(table) * exactX_TD.unsqueeze(1)).sum(2);
        Tensor Activate(Tensor x) => activation == NeuronActivation.Relu ? nn.functional.relu(x) : nn.functional.gelu(x);
        var expected_TD = kind switch
        {
            ExpertKind.Value => (Rows("values") * exactGates_TM.unsqueeze(2)).sum(1),
            ExpertKind.Neuron => (Rows("up") * (exactGates_TM * Activate(Product("down"))).unsqueeze(2)).sum(1),
            _ => (Rows("up") * (exactGates_TM * Activate(Product("gate")) * Product("down")).unsqueeze(2)).sum(1),
        };
        (expected_TD * Weights(expected_TD)).sum().backward();

        TensorAssert.AreClose(expected_TD, actual["output"], 1e-5, "output");
        TensorAssert.AreClose(exactX_TD.grad ?? zeros_like(exactX_TD), actual["x"], 2e-5, "gradient of the tokens");
        TensorAssert.AreClose(exactGates_TM.grad!, actual["gates"], 2e-5, "gradient of the gates");
        foreach (var (name, table) in exact)
            TensorAssert.AreClose(table.grad!, actual[name], 2e-5, $"gradient of {name}");
    }

    private static Dictionary<string, Tensor> Differentiate(
        ExpertTables tables, Func<Tensor, Tensor, Tensor, Tensor> forward, Tensor x_TD, Tensor gates_TM, Tensor ids_TM)
    {
        var y_TD = forward(x_TD, gates_TM, ids_TM);
        (y_TD * Weights(y_TD)).sum().backward();
        var results = tables.Tables.ToDictionary(table => table.Key, table => tables.Gradient!.ToDense(table.Key));
        results.Add("output", y_TD);
        results.Add("x", x_TD.grad ?? zeros_like(x_TD));
        results.Add("gates", gates_TM.grad!);
        tables.ClearGradient();
        (x_TD.grad, gates_TM.grad) = (null, null);
        return results;
    }

    private static Tensor Weights(Tensor like) => arange(like.numel(), float32).view(like.shape).sin();

    private static (Tensor X_TD, Tensor Gates_TM, Tensor Ids_TM) Inputs(int tokens, int choices, int width, int experts) =>
        (
            randn(tokens, width).requires_grad_(true),
            randn(tokens, choices).requires_grad_(true),
            randint(0, experts, [tokens, choices], int64));
}
